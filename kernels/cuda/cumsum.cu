// Contiguous rows: a warp or a block a row takes as many elements at a time as it has threads, and carries the sum on. Rows side
// by side: a thread each. Every element is read and written once.
#include "kernels/api/integer_arithmetic.h"
#include "kernels/api/reduce.h"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduction.cuh"

namespace tandem::cuda {
namespace {

template <class W>
__device__ W plus(W a, W b) {
  return static_cast<W>(static_cast<Wrapping<W>>(a) + static_cast<Wrapping<W>>(b));
}

template <class W>
struct Sums {
  W before, through;  // this element left out, and counted
  W total;            // of all lanes
};

// Sums over the lanes of the team, of which there are 1, 32 or kBlock. REQUIRES: all threads of the row's warps call.
template <class W>
__device__ Sums<W> scan(const Team& team, W value) {
  if (team.lanes == 1) return {W{0}, value, value};
  const int lane = threadIdx.x % 32;
  W through = value;
  for (int reach = 1; reach < 32; reach *= 2) {
    const W other = __shfl_up_sync(0xffffffffu, through, reach);
    if (lane >= reach) through = plus(other, through);
  }
  const W left = __shfl_up_sync(0xffffffffu, through, 1);
  Sums<W> sums{lane == 0 ? W{0} : left, through, __shfl_sync(0xffffffffu, through, 31)};
  if (team.lanes == 32) return sums;
  __shared__ W warps[kBlock / 32];
  if (lane == 31) warps[threadIdx.x / 32] = through;
  __syncthreads();
  W earlier = 0, total = 0;
  for (int warp = 0; warp < kBlock / 32; ++warp) {
    if (warp == static_cast<int>(threadIdx.x) / 32) earlier = total;
    total = plus(total, warps[warp]);
  }
  __syncthreads();
  return {plus(earlier, sums.before), plus(earlier, sums.through), total};
}

template <class T>
__global__ void __launch_bounds__(kBlock) cumsum_rows(AxisRows rows, const T* x, T* y, Cumulative options) {
  using W = Wide<T>;
  const int64_t first = rows.first(), extent = rows.extent();
  W carry = 0;
  for (int64_t begin = 0; begin < extent; begin += rows.team.lanes) {
    const int64_t i = begin + rows.team.lane();
    const int64_t at = first + (options.reverse ? rows.length - 1 - i : i) * rows.inner;
    const Sums<W> sums = scan(rows.team, i < extent ? static_cast<W>(widen(x[at])) : W{0});
    const W result = plus(carry, options.exclusive ? sums.before : sums.through);
    if (i < extent) y[at] = narrow<T>(static_cast<Compute<T>>(result));
    carry = plus(carry, sums.total);
  }
}

}  // namespace

void cumsum(const KernelContext& context, ConstTensorView x, TensorView y, int axis, Cumulative options) {
  AxisRows rows(AxisView(x.shape, axis));
  if (rows.inner == 1)
    rows.team = {.lanes = rows.length <= 4 ? 1 : rows.length <= 1024 ? 32 : kBlock};
  else
    rows.team = {.lanes = 1, .interleaved = true};
  cuda::visit_number(x.dtype, [&]<class T>() {
    launch<cumsum_rows<T>>(context, rows.grid(), rows, x.as<T>().data(), y.as<T>().data(), options);
  });
}

}  // namespace tandem::cuda
