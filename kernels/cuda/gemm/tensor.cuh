// Products of f16 and bf16 on the tensor cores (mma.m16n8k16, f32 sums). The scheme is that of simt.cuh: tiles of kM x kN, steps
// of 32 of k through shared memory, the next step on its way while one is multiplied.
//
// Shared memory holds both operands as [row, k / 2]: words of two neighbouring k, 20 words a row, so that the fragments of a warp
// lie in different banks. Warps interleave their 16 rows and 8 columns over the tile: finished sums go out by slabs of whole
// rows.
#pragma once

#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/gemm/product.cuh"

namespace tandem::cuda {

template <class T_, class Out_, int kM_, int kN_, int kWarpsDown_, int kWarpsAcross_>
struct TensorTile {
  using T = T_;
  using Out = Out_;
  static constexpr int kM = kM_, kN = kN_, kDepth = 32;
  static constexpr int kWarpsDown = kWarpsDown_, kWarpsAcross = kWarpsAcross_, kThreads = 32 * kWarpsDown * kWarpsAcross;
  static constexpr int kDown = kM / (16 * kWarpsDown), kAcross = kN / (8 * kWarpsAcross);  // instructions of a warp for 16 of k
  static constexpr int kStride = kDepth / 2 + 4;                                           // words
  static constexpr int kBuffer = (kM + kN) * kStride;
  static constexpr int kSlabRows = 16 * kWarpsDown, kSlabStride = kN + 8;
  static constexpr size_t kShared = 2 * kBuffer * sizeof(uint32_t);
  static_assert(kSlabRows * kSlabStride <= 2 * kBuffer && kShared <= 48 * 1024 && kM <= kThreads && kN <= kThreads);
};

// A kRows x 32 piece of an operand on its way to shared memory: 16 elements a thread.
template <int kRows, int kThreads, int kStride>
struct TensorPiece {
  static_assert(kRows * 2 % kThreads == 0);
  static constexpr int kPairs = kRows * 2 / kThreads;  // of chunks
  Chunk<uint16_t> chunks[kPairs][2];

  // Along k, a pair is 16 elements of a row. Else it is 8 rows of two neighbouring k; four threads read 64 bytes of a line.
  static __device__ int row_of(int c, bool along_k) { return along_k ? c / 2 : (c / 64 * 4 + c % 4) * 8; }
  static __device__ int k_of(int c, bool along_k) { return along_k ? c % 2 * 16 : c / 4 % 16 * 2; }

  __device__ void load(const Source<uint16_t>& source, bool along_k, int64_t row0, int64_t k0) {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const int c = threadIdx.x + i * kThreads;
      const int64_t row = row0 + row_of(c, along_k), k = k0 + k_of(c, along_k);
      chunks[i][0] = along_k ? source.chunk(row, k) : source.chunk(k, row);
      chunks[i][1] = along_k ? source.chunk(row, k + 8) : source.chunk(k + 1, row);
    }
  }
  __device__ void store(uint32_t* shared, bool along_k) const {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const int c = threadIdx.x + i * kThreads;
      uint32_t* to = shared + row_of(c, along_k) * kStride + k_of(c, along_k) / 2;
      const uint16_t *low = chunks[i][0].values, *high = chunks[i][1].values;
      if (along_k) {
        *reinterpret_cast<Chunk<uint32_t>*>(to) = {
            {word(low[0], low[1]), word(low[2], low[3]), word(low[4], low[5]), word(low[6], low[7])}};
        *reinterpret_cast<Chunk<uint32_t>*>(to + 4) = {
            {word(high[0], high[1]), word(high[2], high[3]), word(high[4], high[5]), word(high[6], high[7])}};
      } else {
#pragma unroll
        for (int row = 0; row < 8; ++row) to[row * kStride] = word(low[row], high[row]);
      }
    }
  }
  static __device__ uint32_t word(uint16_t low, uint16_t high) { return low | static_cast<uint32_t>(high) << 16; }
};

template <class S>
__device__ __forceinline__ void multiply_step(float (&sums)[S::kDown][S::kAcross][4], const uint32_t* buffer, int down,
                                              int across) {
  const int group = threadIdx.x % 32 / 4, quad = threadIdx.x % 4;
#pragma unroll
  for (int k = 0; k < S::kDepth / 2; k += 8) {  // words
    uint32_t a[S::kDown][4], b[S::kAcross][2];
#pragma unroll
    for (int i = 0; i < S::kDown; ++i) {
      const uint32_t* from = buffer + ((i * S::kWarpsDown + down) * 16 + group) * S::kStride + k + quad;
      a[i][0] = from[0];
      a[i][1] = from[8 * S::kStride];
      a[i][2] = from[4];
      a[i][3] = from[8 * S::kStride + 4];
    }
#pragma unroll
    for (int j = 0; j < S::kAcross; ++j) {
      const uint32_t* from = buffer + (S::kM + (j * S::kWarpsAcross + across) * 8 + group) * S::kStride + k + quad;
      b[j][0] = from[0];
      b[j][1] = from[4];
    }
#pragma unroll
    for (int i = 0; i < S::kDown; ++i)
#pragma unroll
      for (int j = 0; j < S::kAcross; ++j) mma_16816<typename S::T>(sums[i][j], a[i], b[j]);
  }
}

// A step of k into the thread's sum of an operand.
template <class S>
__device__ __forceinline__ void sum_step(OperandSum<float>& sum, const uint32_t* buffer) {
  if (!sum.active) return;
  using T = typename S::T;
  const uint32_t* from = buffer + ((sum.of_a ? 0 : S::kM) + threadIdx.x) * S::kStride;
#pragma unroll 4
  for (int k = 0; k < S::kDepth / 2; ++k) {
    const T low{static_cast<uint16_t>(from[k])}, high{static_cast<uint16_t>(from[k] >> 16)};
    sum.total += widen(low);
    sum.total += widen(high);
  }
}

template <class S>
__global__ void __launch_bounds__(S::kThreads) tensor_product(Problem<typename S::T, typename S::Out> problem) {
  uint32_t* shared = dynamic_shared<uint32_t>();
  GemmArgs<typename S::T, typename S::Out> args = problem.args;
  const GemmShape& shape = problem.shape;
  const Tile tile = tile_of_block<S::kM, S::kN>(problem, args);
  const bool a_along_k = !shape.transpose_a, b_along_k = shape.transpose_b;
  using Bits = Source<uint16_t>;
  const Bits a(&args.a->bits, args.lda, a_along_k ? shape.m : tile.k_end, a_along_k ? tile.k_end : shape.m);
  const Bits b(&args.b->bits, args.ldb, b_along_k ? shape.n : tile.k_end, b_along_k ? tile.k_end : shape.n);
  TensorPiece<S::kM, S::kThreads, S::kStride> piece_a;
  TensorPiece<S::kN, S::kThreads, S::kStride> piece_b;
  const auto load = [&](int64_t k) {
    piece_a.load(a, a_along_k, tile.row, k);
    piece_b.load(b, b_along_k, tile.col, k);
  };
  const auto store = [&](uint32_t* buffer) {
    piece_a.store(buffer, a_along_k);
    piece_b.store(buffer + S::kM * S::kStride, b_along_k);
  };
  const int warp = threadIdx.x / 32, down = warp / S::kWarpsAcross, across = warp % S::kWarpsAcross;
  float sums[S::kDown][S::kAcross][4] = {};
  OperandSum<float> operand_sum;
  operand_sum.begin<S::kM, S::kN>(problem, tile);
  load(tile.k_begin);
  store(shared);
  __syncthreads();
  int now = 0;
  for (int64_t k = tile.k_begin; k < tile.k_end; k += S::kDepth, now ^= 1) {
    const bool more = k + S::kDepth < tile.k_end;
    if (more) load(k + S::kDepth);
    multiply_step<S>(sums, shared + now * S::kBuffer, down, across);
    sum_step<S>(operand_sum, shared + now * S::kBuffer);
    if (more) store(shared + (now ^ 1) * S::kBuffer);
    __syncthreads();
  }
  operand_sum.store(problem, tile);
  float* slab = dynamic_shared<float>();
  const int group = threadIdx.x % 32 / 4, quad = threadIdx.x % 4;
#pragma unroll
  for (int i = 0; i < S::kDown; ++i) {
#pragma unroll
    for (int j = 0; j < S::kAcross; ++j) {
      float* to = slab + (down * 16 + group) * S::kSlabStride + (j * S::kWarpsAcross + across) * 8 + quad * 2;
      to[0] = sums[i][j][0], to[1] = sums[i][j][1];
      to[8 * S::kSlabStride] = sums[i][j][2], to[8 * S::kSlabStride + 1] = sums[i][j][3];
    }
    __syncthreads();
    store_sums<S::kN, S::kThreads>(problem, args, slab, S::kSlabStride, S::kSlabRows, tile.row + i * S::kSlabRows, tile.col);
    __syncthreads();
  }
}

}  // namespace tandem::cuda
