// Limits of well-known GPUs, for estimates made without one.
#pragma once

#include <span>
#include <string_view>

#include "kernels/base/error.h"

namespace tandem {

struct DeviceSpec {
  std::string_view name;          // as it is typed
  std::string_view architecture;  // "sm_90"
  int multiprocessors;
  double bytes_per_second;  // of the device memory
  double f32, tf32, half;   // FLOP/s without sparsity: outside the tensor cores, on them in TF32, and in bf16 or f16
  // Of one multiprocessor.
  int threads, blocks;
  int64_t shared_bytes;
  int64_t block_shared_bytes;  // the most that one block may have
  int64_t registers = 65536;
};

std::span<const DeviceSpec> device_specs();
// Throws NotFound naming those there are.
const DeviceSpec& find_device_spec(std::string_view name);

}  // namespace tandem
