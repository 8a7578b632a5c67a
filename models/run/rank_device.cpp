#include "models/run/rank_device.h"

namespace tandem {

std::shared_ptr<Device> open_rank_device(const std::string& text, int rank, int world) {
  if (world == 1 || (text != "cuda" && text != "auto")) return open_device(text);
  const CudaProbe probe = probe_cuda();
  if (probe.devices.empty()) return open_device(text);
  return open_cuda(probe.devices[static_cast<size_t>(rank) % probe.devices.size()].ordinal);
}

}  // namespace tandem
