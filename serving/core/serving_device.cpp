#include "serving/core/serving_device.h"

#include "kernels/base/error.h"
#include "runtime/device/device_text.h"

namespace tandem {

ServingDevice open_serving_device(const std::string& text, bool strict) {
  ServingDevice serving{.strict = strict};
  try {
    serving.device = open_device(text);
    check_strict_device(strict, serving.device.get(), text);
  } catch (const Error& error) {
    if (strict || error.code() == ErrorCode::kInvalidArgument) throw;
    serving.problem = error.what();
  }
  return serving;
}

}  // namespace tandem
