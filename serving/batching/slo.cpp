#include "serving/batching/slo.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 5> kQuantiles{
    {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}}};
constexpr std::array<std::pair<std::string_view, int64_t>, 3> kUnits{{{"us", 1}, {"ms", 1'000}, {"s", 1'000'000}}};
constexpr int64_t kLongest = 3'600'000'000;  // an hour

}  // namespace

Slo parse_slo(std::string_view text) {
  const auto refuse = [&] { fail(ErrorCode::kInvalidArgument, "a target is written p99=20ms (p50, p90, p95, p99, p99.9; us, ms, s)", {text}); };
  const size_t equals = std::min(text.find('='), text.size());
  const auto quantile = std::ranges::find(kQuantiles, text.substr(0, equals), &std::pair<std::string_view, double>::first);
  if (quantile == kQuantiles.end() || equals == text.size()) refuse();
  int64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [unit_begin, error] = std::from_chars(text.data() + equals + 1, end, count);
  const auto unit = std::ranges::find(kUnits, std::string_view(unit_begin, end), &std::pair<std::string_view, int64_t>::first);
  if (error != std::errc() || unit == kUnits.end() || count <= 0 || count > kLongest / unit->second) refuse();
  return {quantile->second, std::chrono::microseconds(count * unit->second)};
}

std::string to_string(const Slo& slo) {
  const auto quantile = std::ranges::find(kQuantiles, slo.quantile, &std::pair<std::string_view, double>::second);
  std::string text(quantile == kQuantiles.end() ? "p99" : quantile->first);
  const int64_t count = slo.target.count();
  if (count % 1'000'000 == 0) return text + "=" + std::to_string(count / 1'000'000) + "s";
  return text + "=" + (count % 1'000 == 0 ? std::to_string(count / 1'000) + "ms" : std::to_string(count) + "us");
}

}  // namespace tandem
