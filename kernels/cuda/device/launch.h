// The only way a kernel is launched: checked, on the session's stream, on a device or on the emulator.
//
//   launch<softmax_rows<float>>(context, {.blocks = rows, .threads = 256}, x, y, length);
//
// The kernel is a template argument, so that its name is known where launches are recorded.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/error.h"
#include "kernels/base/kernel_context.h"
#include "kernels/cuda/device/check.h"
#include "kernels/cuda/device/gpu.h"
#include "kernels/cuda/device/session.h"

namespace tandem::cuda {

struct Grid {
  int64_t blocks = 1;    // x
  int64_t blocks_y = 1;
  int64_t blocks_z = 1;
  int threads = 256;     // of a block, in x
  size_t shared = 0;     // bytes of dynamic shared memory; more than 48 KiB is asked for by itself
};

inline cudaStream_t stream_of(const KernelContext& context) {
  return context.cuda ? static_cast<cudaStream_t>(context.cuda->stream()) : cudaStream_t{};
}

namespace detail {

// "softmax_rows<float>" out of this function's own signature.
template <auto kernel>
std::string_view kernel_name() {
  const std::string_view text = __PRETTY_FUNCTION__;
  const size_t begin = text.find("kernel = ") + 9;
  std::string_view name = text.substr(begin, text.find_last_of(";]") - begin);
  if (const size_t next = name.find("; "); next != std::string_view::npos) name = name.substr(0, next);
  const size_t arguments = name.find('<');
  const size_t scope = name.substr(0, arguments).rfind("::");
  return scope == std::string_view::npos ? name : name.substr(scope + 2);
}

void record_launch(LaunchRecorder& recorder, std::string_view kernel, const Grid& grid);
// Throws InvalidArgument for a grid beyond what CUDA allows.
void check_grid(std::string_view kernel, const Grid& grid);

}  // namespace detail

// An empty grid launches nothing.
template <auto kernel, class... Arguments>
void launch(const KernelContext& context, const Grid& grid, Arguments... arguments) {
  const std::string_view name = detail::kernel_name<kernel>();
  if (grid.blocks == 0 || grid.blocks_y == 0 || grid.blocks_z == 0) return;
  detail::check_grid(name, grid);
  if (context.cuda && context.cuda->recorder) [[unlikely]]
    return detail::record_launch(*context.cuda->recorder, name, grid);
  const dim3 blocks(static_cast<unsigned>(grid.blocks), static_cast<unsigned>(grid.blocks_y), static_cast<unsigned>(grid.blocks_z));
#if defined(__CUDACC__)
  if (grid.shared > 48 * 1024)
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(grid.shared)), name);
  kernel<<<blocks, static_cast<unsigned>(grid.threads), grid.shared, stream_of(context)>>>(arguments...);
#else
  emulator::launch({blocks, dim3(static_cast<unsigned>(grid.threads)), grid.shared}, stream_of(context), name,
                   [=] { kernel(arguments...); }, arguments...);
#endif
  check_cuda(cudaGetLastError(), name);
}

}  // namespace tandem::cuda
