// A target for the latency of a model's answers, in place of batch sizes and delays: "p99=20ms".
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace tandem {

struct Slo {
  double quantile = 0.99;               // of the answers keeps
  std::chrono::microseconds target{0};  // within this, from the queue to the answer

  friend bool operator==(const Slo&, const Slo&) = default;
};

// "p99=20ms": p50, p90, p95, p99 or p99.9, and a whole number of us, ms or s. Throws InvalidArgument.
Slo parse_slo(std::string_view text);
// As parse_slo takes it.
std::string to_string(const Slo& slo);

}  // namespace tandem
