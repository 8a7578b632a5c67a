// --device cpu|cuda|cuda:N|auto
#include <charconv>

#include "kernels/base/error.h"
#include "runtime/device/device.h"

namespace tandem {
namespace {

// N of "cuda:N"; -1 for any other text.
int ordinal_in(std::string_view text) {
  constexpr std::string_view kPrefix = "cuda:";
  if (!text.starts_with(kPrefix)) return -1;
  text.remove_prefix(kPrefix.size());
  int ordinal = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ordinal);
  return error == std::errc() && end == text.data() + text.size() ? ordinal : -1;
}

}  // namespace

std::shared_ptr<Device> open_device(std::string_view text) {
  if (text == "cpu") return nullptr;
  if (text == "cuda" || text == "auto") {
    const CudaProbe probe = probe_cuda();
    if (probe.devices.empty() && text == "auto") return nullptr;
    check(!probe.devices.empty(), ErrorCode::kUnavailable, "CUDA cannot be used here", probe.problem);
    return open_cuda(probe.devices.front().ordinal);
  }
  const int ordinal = ordinal_in(text);
  require(ordinal >= 0, "no such kind of device (given, there are)", text, "cpu, cuda, cuda:0, cuda:1, ..., auto");
  return open_cuda(ordinal);
}

}  // namespace tandem
