// How the threads of a block are dealt to the rows they reduce: `lanes` threads to a row, kBlock / lanes rows to a block.
//
// Where a row is contiguous, its lanes are neighbouring threads; where rows lie side by side, neighbouring threads are on
// neighbouring rows, so that memory is read in order either way. Everything follows from the shape, so results do too.
#pragma once

#include <algorithm>

#include "kernels/base/tensor_view.h"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/reduce.cuh"

namespace tandem::cuda {

struct Team {
  int lanes = kBlock;        // a power of two
  bool interleaved = false;  // neighbouring threads on neighbouring rows

  __host__ __device__ int rows() const { return kBlock / lanes; }
  // The row of this thread in its block, and which of the row's threads it is.
  __device__ int slot() const { return static_cast<int>(threadIdx.x) / (interleaved ? 1 : lanes) % rows(); }
  __device__ int lane() const { return static_cast<int>(threadIdx.x) / (interleaved ? rows() : 1) % lanes; }

  // The lanes' values combined in a fixed tree; every lane gets the result. REQUIRES: all threads of the block call; T as in
  // block_reduce, `combine` commutative.
  template <class T, class Combine>
  __device__ T reduce(T value, Combine combine) const {
    if (lanes == 1) return value;
    return interleaved ? across_rows(value, combine) : along_row(value, combine);
  }

 private:
  template <class T, class Combine>
  __device__ T along_row(T value, Combine combine) const {
    for (int offset = (lanes < 32 ? lanes : 32) / 2; offset > 0; offset /= 2)
      value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
    if (lanes <= 32) return value;
    __shared__ T partial[kBlock / 32];
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    const int first = slot() * (lanes / 32);
    T total = partial[first];
    for (int warp = 1; warp < lanes / 32; ++warp) total = combine(total, partial[first + warp]);
    __syncthreads();  // partial is used again by the next call
    return total;
  }
  template <class T, class Combine>
  __device__ T across_rows(T value, Combine combine) const {
    __shared__ T all[kBlock];
    const int mine = threadIdx.x;
    all[mine] = value;
    for (int reach = kBlock / 2; reach >= rows(); reach /= 2) {
      __syncthreads();
      if (mine < reach) all[mine] = combine(all[mine], all[mine + reach]);
    }
    __syncthreads();
    const T total = all[slot()];
    __syncthreads();
    return total;
  }
};

inline int power_of_two_above(int64_t n) {
  int power = 1;
  while (power < n && power < kBlock) power *= 2;
  return power;
}
// About four elements a lane.
inline Team team_for_rows(int64_t length) { return {.lanes = power_of_two_above(ceil_div(length, 4))}; }
// 32 neighbouring rows read whole lines of memory; with fewer rows there are more lanes for each.
inline Team team_for_columns(int64_t length, int64_t rows) {
  const int width = std::min(32, power_of_two_above(rows));
  return {.lanes = std::min(power_of_two_above(ceil_div(length, 8)), kBlock / width), .interleaved = true};
}

// The rows of an AxisView, dealt to teams. The loop of every row kernel:
//   for (int64_t i = rows.team.lane(); i < rows.extent(); i += rows.team.lanes) ... x[rows.first() + i * rows.inner]
struct AxisRows {
  Team team;
  int64_t count, length, inner;

  explicit AxisRows(const AxisView& view)
      : team(view.inner == 1 ? team_for_rows(view.length) : team_for_columns(view.length, view.outer * view.inner)),
        count(view.outer * view.inner),
        length(view.length),
        inner(view.inner) {}
  Grid grid() const { return {.blocks = ceil_div(count, team.rows()), .threads = kBlock}; }

  // The row of this thread; beyond `count` in the last block, where the thread only keeps the others company.
  __device__ int64_t row() const { return static_cast<int64_t>(blockIdx.x) * team.rows() + team.slot(); }
  __device__ int64_t extent() const { return row() < count ? length : 0; }
  __device__ int64_t first() const { return inner == 1 ? row() * length : row() / inner * length * inner + row() % inner; }
};

}  // namespace tandem::cuda
