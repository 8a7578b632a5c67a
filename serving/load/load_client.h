// Connections to a server with one request at a time on each: what a load is made with, whatever the protocol.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serving/batching/clock.h"

namespace tandem {

enum class AnswerKind : uint8_t {
  kOk,
  kShed,    // too much to do: 429, 503; RESOURCE_EXHAUSTED, UNAVAILABLE
  kLate,    // waited too long: 504; DEADLINE_EXCEEDED
  kFailed,  // anything else, and connections that broke
};

struct LoadAnswer {
  int connection = 0;
  AnswerKind kind = AnswerKind::kOk;
  Clock::TimePoint at{};  // when it was read whole
};

class LoadClient {
 public:
  virtual ~LoadClient() = default;
  virtual int connections() const = 0;
  // Begins a request on a connection that has none under way. Throws Unavailable if the server cannot be reached any more.
  virtual void send(int connection) = 0;
  // Lets answers gather until `from`, then waits for one, not beyond `until`, and appends those that came.
  virtual void wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) = 0;
  // What the first answer that was not kOk said; "" if there was none.
  virtual const std::string& first_problem() const = 0;
};

}  // namespace tandem
