// Products of f32 and f64 on the ordinary cores: each thread sums a small rectangle of C in registers while k runs through shared
// memory. A tile of kM x kN reads each operand once per tile row or column of the other; the next step of k is on its way while
// one is multiplied.
//
// One thread sums an element over all its k, in order: the bits depend neither on the tile nor on the neighbours. Shared memory
// holds both operands as [k, row], so that a step reads vectors. Finished sums go through shared memory once more, to be stored
// by rows.
#pragma once

#include "kernels/cuda/gemm/product.cuh"

namespace tandem::cuda {

template <class T_, int kM_, int kN_, int kEach_>
struct SimtTile {
  using T = T_;
  static constexpr int kM = kM_, kN = kN_, kDepth = 64 / sizeof(T);
  static constexpr int kEach = kEach_;  // rows and columns of a thread
  static constexpr int kVector = Chunk<T>::kElements;
  static constexpr int kAcross = kN / kEach, kDown = kM / kEach, kThreads = kAcross * kDown;
  static constexpr int kStepsAtOnce = kEach == 8 ? 1 : 2;  // more would spill
  // Blocks that a multiprocessor is to hold, where the compiler would otherwise take registers without need; 0: no wish.
  static constexpr int kResident = sizeof(T) == 8 || kEach == 8 ? 0 : kThreads == 64 ? 8 : 3;
  static constexpr int kPad = kVector;  // spreads the transposing stores over the banks
  static constexpr int kStrideA = kM + kPad, kStrideB = kN + kPad;
  static constexpr int kBuffer = kDepth * (kStrideA + kStrideB);
  static constexpr int kSlabRows = kDown * kVector;  // rows of C that pass through shared memory at once
  static_assert(kSlabRows * kN <= 2 * kBuffer && kM * kDepth % (kVector * kThreads) == 0 &&
                kN * kDepth % (kVector * kThreads) == 0 && kM <= kThreads && kN <= kThreads);
};

// A kRows x kDepth piece of an operand on its way from global memory to shared memory.
template <class T, int kRows, int kDepth, int kThreads>
struct SimtPiece {
  static constexpr int kVector = Chunk<T>::kElements, kChunks = kRows * kDepth / (kVector * kThreads);
  static constexpr int kStride = kRows + kVector;
  Chunk<T> chunks[kChunks];

  // `along_k`: lines of the source are rows, else they are steps of k.
  __device__ void load(const Source<T>& source, bool along_k, int64_t row0, int64_t k0) {
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      const int c = threadIdx.x + i * kThreads;
      if (along_k)
        chunks[i] = source.chunk(row0 + c / (kDepth / kVector), k0 + c % (kDepth / kVector) * kVector);
      else
        chunks[i] = source.chunk(k0 + c / (kRows / kVector), row0 + c % (kRows / kVector) * kVector);
    }
  }
  __device__ void store(T* shared, bool along_k) const {
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      const int c = threadIdx.x + i * kThreads;
      if (along_k) {
        T* to = shared + c % (kDepth / kVector) * kVector * kStride + c / (kDepth / kVector);
#pragma unroll
        for (int v = 0; v < kVector; ++v) to[v * kStride] = chunks[i].values[v];
      } else {
        *reinterpret_cast<Chunk<T>*>(shared + c / (kRows / kVector) * kStride + c % (kRows / kVector) * kVector) = chunks[i];
      }
    }
  }
};

// A thread's rows are kEach / kVector vectors, kThreadsOfAxis vectors apart: neighbouring threads read neighbouring vectors.
template <int kEach, int kThreadsOfAxis, class T>
__device__ __forceinline__ void read_vectors(T (&values)[kEach], const T* shared, int thread) {
  constexpr int kVector = Chunk<T>::kElements;
#pragma unroll
  for (int i = 0; i < kEach; i += kVector) {
    const Chunk<T> chunk = *reinterpret_cast<const Chunk<T>*>(shared + i * kThreadsOfAxis + thread * kVector);
#pragma unroll
    for (int v = 0; v < kVector; ++v) values[i + v] = chunk.values[v];
  }
}

template <class S>
__device__ __forceinline__ void multiply_step(typename S::T (&sums)[S::kEach][S::kEach], const typename S::T* buffer, int x,
                                              int y) {
  typename S::T a[S::kEach], b[S::kEach];
#pragma unroll S::kStepsAtOnce
  for (int k = 0; k < S::kDepth; ++k) {
    read_vectors<S::kEach, S::kDown>(a, buffer + k * S::kStrideA, y);
    read_vectors<S::kEach, S::kAcross>(b, buffer + S::kDepth * S::kStrideA + k * S::kStrideB, x);
#pragma unroll
    for (int i = 0; i < S::kEach; ++i)
#pragma unroll
      for (int j = 0; j < S::kEach; ++j) sums[i][j] += a[i] * b[j];
  }
}

// A step of k into the thread's sum of an operand.
template <class S>
__device__ __forceinline__ void sum_step(OperandSum<typename S::T>& sum, const typename S::T* buffer) {
  if (!sum.active) return;
  const int stride = sum.of_a ? S::kStrideA : S::kStrideB;
  const typename S::T* from = buffer + (sum.of_a ? 0 : S::kDepth * S::kStrideA) + threadIdx.x;
#pragma unroll 1
  for (int k = 0; k < S::kDepth; ++k) sum.total += from[k * stride];
}

template <class S>
__global__ void __launch_bounds__(S::kThreads, S::kResident) simt_product(Problem<typename S::T, typename S::T> problem) {
  using T = typename S::T;
  __shared__ __align__(16) T shared[2 * S::kBuffer];
  GemmArgs<T> args = problem.args;
  const GemmShape& shape = problem.shape;
  const Tile tile = tile_of_block<S::kM, S::kN>(problem, args);
  const bool a_along_k = !shape.transpose_a, b_along_k = shape.transpose_b;
  const Source<T> a(args.a, args.lda, a_along_k ? shape.m : tile.k_end, a_along_k ? tile.k_end : shape.m);
  const Source<T> b(args.b, args.ldb, b_along_k ? shape.n : tile.k_end, b_along_k ? tile.k_end : shape.n);
  SimtPiece<T, S::kM, S::kDepth, S::kThreads> piece_a;
  SimtPiece<T, S::kN, S::kDepth, S::kThreads> piece_b;
  const auto load = [&](int64_t k) {
    piece_a.load(a, a_along_k, tile.row, k);
    piece_b.load(b, b_along_k, tile.col, k);
  };
  const auto store = [&](T* buffer) {
    piece_a.store(buffer, a_along_k);
    piece_b.store(buffer + S::kDepth * S::kStrideA, b_along_k);
  };
  const int x = threadIdx.x % S::kAcross, y = threadIdx.x / S::kAcross;
  T sums[S::kEach][S::kEach] = {};
  OperandSum<T> operand_sum;
  operand_sum.template begin<S::kM, S::kN>(problem, tile);
  load(tile.k_begin);
  store(shared);
  __syncthreads();
  int now = 0;
  for (int64_t k = tile.k_begin; k < tile.k_end; k += S::kDepth, now ^= 1) {
    const bool more = k + S::kDepth < tile.k_end;
    if (more) load(k + S::kDepth);
    multiply_step<S>(sums, shared + now * S::kBuffer, x, y);
    sum_step<S>(operand_sum, shared + now * S::kBuffer);
    if (more) store(shared + (now ^ 1) * S::kBuffer);
    __syncthreads();
  }
  operand_sum.store(problem, tile);
#pragma unroll
  for (int slab = 0; slab < S::kEach / S::kVector; ++slab) {
#pragma unroll
    for (int i = 0; i < S::kVector; ++i)
#pragma unroll
      for (int j = 0; j < S::kEach; ++j)
        shared[(y * S::kVector + i) * S::kN + j / S::kVector * S::kVector * S::kAcross + x * S::kVector + j % S::kVector] =
            sums[slab * S::kVector + i][j];
    __syncthreads();
    store_sums<S::kN, S::kThreads>(problem, args, shared, S::kN, S::kSlabRows, tile.row + slab * S::kSlabRows, tile.col);
    __syncthreads();
  }
}

}  // namespace tandem::cuda
