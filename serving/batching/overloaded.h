// The refusal of a request that would come too late: 429 with Retry-After, RESOURCE_EXHAUSTED with a push-back.
#pragma once

#include <chrono>
#include <string>

#include "kernels/base/error.h"

namespace tandem {

class Overloaded : public Error {
 public:
  Overloaded(const std::string& message, std::chrono::milliseconds retry_after)
      : Error(ErrorCode::kUnavailable, message), retry_after_(retry_after) {}
  // When what waits now is done.
  std::chrono::milliseconds retry_after() const { return retry_after_; }

 private:
  std::chrono::milliseconds retry_after_;
};

}  // namespace tandem
