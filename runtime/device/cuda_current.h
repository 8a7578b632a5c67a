// Which GPU a thread's CUDA calls go to. Lanes are threads, and a thread of its own begins with device 0: every entry of the layer says
// which one it means.
#pragma once

namespace tandem {

// Throws Error(kDevice) if the device cannot be used.
void use_device(int ordinal);

// For destructors: errors, also of earlier work, are dropped, and do not stay in the thread to be found by the next launch.
// `status` is a cudaError_t.
void drop_error(int status) noexcept;

}  // namespace tandem
