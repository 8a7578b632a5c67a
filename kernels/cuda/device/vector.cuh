// Several neighbouring elements in one access of up to 16 bytes.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cuda/device/gpu.h"

namespace tandem::cuda {

template <int kBytes>
struct WordOf;
template <>
struct WordOf<1> {
  using type = uint8_t;
};
template <>
struct WordOf<2> {
  using type = uint16_t;
};
template <>
struct WordOf<4> {
  using type = uint32_t;
};
template <>
struct WordOf<8> {
  using type = uint2;
};
template <>
struct WordOf<16> {
  using type = uint4;
};

// kWidth elements, a power of two, kWidth * sizeof(T) <= 16.
template <class T, int kWidth>
struct Vector {
  T at[kWidth];
};

template <class T>
__host__ __device__ inline bool is_aligned(const T* pointer, int width) {
  return reinterpret_cast<uintptr_t>(pointer) % (static_cast<size_t>(width) * sizeof(T)) == 0;
}

// REQUIRES: `from` is aligned to kWidth * sizeof(T) bytes.
template <int kWidth, class T>
__device__ inline Vector<T, kWidth> load_vector(const T* from) {
  Vector<T, kWidth> vector;
#if defined(__CUDA_ARCH__)
  using Word = typename WordOf<kWidth * sizeof(T)>::type;
  const Word word = *reinterpret_cast<const Word*>(from);
  memcpy(vector.at, &word, sizeof word);
#else
  if (!is_aligned(from, kWidth)) __builtin_trap();  // as on the device
  std::memcpy(vector.at, from, sizeof vector.at);
#endif
  return vector;
}

// REQUIRES: as load_vector.
template <int kWidth, class T>
__device__ inline void store_vector(T* to, const Vector<T, kWidth>& vector) {
#if defined(__CUDA_ARCH__)
  using Word = typename WordOf<kWidth * sizeof(T)>::type;
  Word word;
  memcpy(&word, vector.at, sizeof word);
  *reinterpret_cast<Word*>(to) = word;
#else
  if (!is_aligned(to, kWidth)) __builtin_trap();
  std::memcpy(to, vector.at, sizeof vector.at);
#endif
}

}  // namespace tandem::cuda
