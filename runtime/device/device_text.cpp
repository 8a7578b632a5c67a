#include "runtime/device/device_text.h"

#include "kernels/base/error.h"

namespace tandem {

std::string device_id(const Device* device) { return device ? "cuda:" + std::to_string(device->info().ordinal) : "cpu"; }

std::string device_text(const Device* device) { return device ? device_id(device) + " (" + device->info().name + ")" : "cpu"; }

void check_strict_device(bool strict, const Device* device, std::string_view asked) {
  if (!strict || device) return;
  require(asked == "auto", "--strict-device needs a GPU: give --device cuda, or cuda:N (given)", asked);
  fail(ErrorCode::kUnavailable, "--strict-device needs a GPU: --device auto found none", {probe_cuda().problem});
}

std::string cuda_version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

}  // namespace tandem
