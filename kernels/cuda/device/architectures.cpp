#include "kernels/cuda/device/architectures.h"

#include <algorithm>
#include <span>

namespace tandem::cuda {
namespace {

// 900 for compute capability 9.0, ascending; empty for the emulator.
std::span<const int> compiled() {
#if defined(__CUDA_ARCH_LIST__)
  static constexpr int kList[] = {__CUDA_ARCH_LIST__};
  return kList;
#else
  return {};
#endif
}

}  // namespace

// Code for an architecture is kept with its PTX, which drivers of newer GPUs compile.
bool compiled_for(int major, int minor) {
  const std::span<const int> list = compiled();
  return list.empty() || major * 100 + minor * 10 >= *std::ranges::min_element(list);
}

std::string compiled_architectures() {
  std::string text;
  for (int architecture : compiled())
    text += (text.empty() ? "" : ", ") + std::to_string(architecture / 100) + "." + std::to_string(architecture % 100 / 10);
  return text.empty() ? "any" : text;
}

}  // namespace tandem::cuda
