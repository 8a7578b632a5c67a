// The CUDA language for g++: what kernels/cuda/device/gpu.h includes where there is no nvcc. Add here what a kernel needs next.
#pragma once

#include <cuda_runtime_api.h>
#include <vector_functions.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "block.h"

#undef __global__
#undef __device__
#undef __host__
#undef __forceinline__
#undef __launch_bounds__
#undef __shared__
#undef __constant__
#undef __grid_constant__
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __shared__ static thread_local
#define __constant__ static
#define __grid_constant__

#define threadIdx (::tandem::emulator::this_thread().thread)
#define blockIdx (::tandem::emulator::this_block().index)
#define blockDim (::tandem::emulator::this_block().block)
#define gridDim (::tandem::emulator::this_block().grid)
#define warpSize 32

namespace tandem::emulator {

// Whether a kernel may be given this pointer: null, or to device or pinned memory, of which it may be the end (kernel_launch.cpp).
bool device_can_reach(const volatile void* pointer);
// Puts a kernel on a stream (kernel_launch.cpp). `foreign_argument`: the first that is a pointer which the device cannot reach, or -1; the
// launch then ends as with an illegal address.
void enqueue_kernel(Kernel kernel, cudaStream_t stream, int foreign_argument);

template <class T>
bool is_foreign(const T& argument) {
  if constexpr (std::is_pointer_v<T> && !std::is_function_v<std::remove_pointer_t<T>>)
    return !device_can_reach(argument);
  else
    return false;
}

// `body` is one thread's work with these arguments.
template <class Body, class... Arguments>
void launch(const LaunchShape& shape, cudaStream_t stream, std::string_view name, Body body, const Arguments&... arguments) {
  int foreign = -1, index = 0;
  ((foreign = foreign < 0 && is_foreign(arguments) ? index : foreign, ++index), ...);
  enqueue_kernel({shape, name, std::move(body)}, stream, foreign);
}

template <class T>
uint64_t to_word(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}
template <class T>
T from_word(uint64_t word) {
  T value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

}  // namespace tandem::emulator

namespace tandem::cuda {

template <class T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(emulator::this_block().shared);
}

}  // namespace tandem::cuda

inline void __syncthreads() { tandem::emulator::sync_threads(); }
inline void __syncwarp(unsigned mask = ~0u) { tandem::emulator::warp_exchange(mask, 0); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const unsigned lane = tandem::emulator::this_thread().lane, group = static_cast<unsigned>(width) - 1;
  const uint64_t* all = tandem::emulator::warp_exchange(mask, tandem::emulator::to_word(value));
  return tandem::emulator::from_word<T>(all[(lane & ~group) | (static_cast<unsigned>(source) & group)]);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = tandem::emulator::this_thread().lane, group = static_cast<unsigned>(width) - 1;
  const uint64_t* all = tandem::emulator::warp_exchange(mask, tandem::emulator::to_word(value));
  return (lane & group) + delta <= group ? tandem::emulator::from_word<T>(all[lane + delta]) : value;
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = tandem::emulator::this_thread().lane, group = static_cast<unsigned>(width) - 1;
  const uint64_t* all = tandem::emulator::warp_exchange(mask, tandem::emulator::to_word(value));
  return (lane & group) >= delta ? tandem::emulator::from_word<T>(all[lane - delta]) : value;
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int = 32) {
  const unsigned lane = tandem::emulator::this_thread().lane;
  const uint64_t* all = tandem::emulator::warp_exchange(mask, tandem::emulator::to_word(value));
  return tandem::emulator::from_word<T>(all[lane ^ static_cast<unsigned>(bits)]);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const uint64_t* all = tandem::emulator::warp_exchange(mask, predicate != 0);
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) ballot |= static_cast<unsigned>(all[lane] & 1) << lane;
  return ballot;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

template <class T>
T atomicAdd(T* address, T value) {
  static_assert(std::is_integral_v<T>, "floating-point atomics make results depend on scheduling");
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicMax(T* address, T value) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (old < value && !__atomic_compare_exchange_n(address, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <class T>
T atomicMin(T* address, T value) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (value < old && !__atomic_compare_exchange_n(address, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

template <class T>
T __ldg(const T* address) {
  return *address;
}
inline float __uint_as_float(unsigned bits) { return tandem::emulator::from_word<float>(bits); }
inline unsigned __float_as_uint(float x) { return static_cast<unsigned>(tandem::emulator::to_word(x)); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline int __ffs(int x) { return __builtin_ffs(x); }
