// A team of threads a row, each looking for the best of its own elements first; the input is read once.
#include <limits>

#include "kernels/api/reduce.h"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/team.cuh"

namespace tandem::cuda {
namespace {

// Every number is at least as good as this one.
template <class C>
__device__ C worst(bool largest) {
  using Limits = std::numeric_limits<C>;
  const C least = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  const C most = Limits::has_infinity ? Limits::infinity() : Limits::max();
  return largest ? least : most;
}

// Of equal elements the first or the last. NaN never wins, but a NaN at the start is never replaced.
template <class T>
__global__ void __launch_bounds__(kBlock) arg_reduce_rows(AxisRows rows, const T* x, int64_t* y, ArgReduce options) {
  using C = std::conditional_t<(sizeof(Compute<T>) < 4), int32_t, Compute<T>>;
  const auto better = [=](C a, C b) { return options.largest ? a > b : a < b; };
  const int64_t first = rows.first(), extent = rows.extent(), none = options.select_last ? -1 : rows.length;
  C best = worst<C>(options.largest);
  int64_t at = none;
  for (int64_t i = rows.team.lane(); i < extent; i += rows.team.lanes) {
    const C value = widen(x[first + i * rows.inner]);
    if (!better(value, best) && !(value == best && (at == none || options.select_last))) continue;
    best = value;
    at = i;
  }
  const C winner = rows.team.reduce(best, [=](C a, C b) { return better(b, a) ? b : a; });
  at = rows.team.reduce(best == winner ? at : none, [=](int64_t a, int64_t b) { return (a < b) != options.select_last ? a : b; });
  if (extent == 0 || rows.team.lane() != 0) return;
  const C start = widen(x[first]);
  y[rows.row()] = start == start ? at : 0;
}

}  // namespace

void arg_reduce(const KernelContext& context, ConstTensorView x, TensorView y, int axis, ArgReduce options) {
  const AxisView view(x.shape, axis);
  if (view.outer * view.inner == 0) return;
  require(view.length > 0, "[ArgMax] the reduced axis is empty; shape", to_string(x.shape));
  const AxisRows rows(view);
  cuda::visit_number(x.dtype, [&]<class T>() {
    launch<arg_reduce_rows<T>>(context, rows.grid(), rows, x.as<T>().data(), y.as<int64_t>().data(), options);
  });
}

}  // namespace tandem::cuda
