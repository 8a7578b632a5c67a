// One engine for all reductions: a thread folds elements that its team's neighbours interleave, a team folds in a fixed tree, and
// where an output is cut into chunks a second launch folds their results from the workspace. The input is read once (twice for
// log-sum-exp), in order whether the innermost axis is reduced or kept; the chunks add at most 1 % to it.
#include "kernels/api/reduce.h"

#include "kernels/cuda/device/reduction.cuh"
#include "kernels/cuda/reduce_ops.cuh"

namespace tandem::cuda {
namespace {

using namespace reduction;

template <class T>
__device__ void write_result(ReduceOp op, Wide<T> total, int64_t n, T* y) {
  Wide<T> largest = 0;
  if constexpr (kIsFloat<T>) largest = op == ReduceOp::kLogSumExp ? widen(*y) : 0;
  const Wide<T> result = finish(op, total, largest, n);
  *y = narrow<T>(static_cast<Compute<T>>(result));
}

// partial [outputs, chunks], or null: then there is one chunk, and the result goes to y.
template <class T, class Map, class Join>
__global__ void __launch_bounds__(kBlock) reduce_chunks(ReductionPlan plan, ReduceOp op, const T* x, T* y, Wide<T>* partial) {
  using C = std::conditional_t<kIsFloat<T>, Compute<T>, Wide<T>>;
  const int64_t output = plan.output();
  C largest = 0;
  if constexpr (std::is_same_v<Map, ShiftedExp>) largest = plan.active() ? widen(y[output]) : 0;
  Walk walk(plan);
  Wide<T> total = fold_walk<Wide<T>, C>(
      walk, Join::template neutral<T, Wide<T>>(), [=](int64_t at) { return Map()(static_cast<C>(widen(x[at])), largest); },
      Join());
  total = plan.team.reduce(total, Join());
  if (!plan.active() || plan.team.lane() != 0) return;
  if (partial)
    partial[output * plan.chunks + blockIdx.y] = total;
  else
    write_result(op, total, plan.layout.reduced.total, y + output);
}

// The second stage, a team an output. No chunks give the result of an empty reduction.
template <class T, class Join>
__global__ void __launch_bounds__(kBlock)
    reduce_partials(Team team, ReduceOp op, const Wide<T>* partial, int64_t outputs, int64_t chunks, int64_t n, T* y) {
  const int64_t output = static_cast<int64_t>(blockIdx.x) * team.rows() + team.slot();
  Wide<T> total = Join::template neutral<T, Wide<T>>();
  if (output < outputs)
    for (int64_t c = team.lane(); c < chunks; c += team.lanes) total = Join()(total, partial[output * chunks + c]);
  total = team.reduce(total, Join());
  if (output < outputs && team.lane() == 0) write_result(op, total, n, y + output);
}

template <class T, class Join>
void second_stage(const KernelContext& context, ReduceOp op, const Wide<T>* partial, int64_t outputs, int64_t chunks, int64_t n,
                  T* y) {
  const Team team = team_for_rows(chunks);
  launch<reduce_partials<T, Join>>(context, {.blocks = ceil_div(outputs, team.rows()), .threads = kBlock}, team, op, partial,
                                   outputs, chunks, n, y);
}

template <class T, class Map, class Join>
void run(const KernelContext& context, ReduceOp op, ConstTensorView x, TensorView y, AxisMask axes) {
  T* out = y.as<T>().data();
  if (x.elements() == 0) return second_stage<T, Join>(context, op, nullptr, y.elements(), 0, 0, out);
  const ReductionPlan plan(x.shape, axes);
  const int64_t outputs = plan.layout.kept.total;
  ensure(outputs == y.elements(), "reduction's output does not fit", to_string(x.shape), to_string(y.shape));
  Wide<T>* partial = plan.chunks == 1 ? nullptr : reinterpret_cast<Wide<T>*>(context.workspace.data());
  ensure(!partial || static_cast<size_t>(outputs * plan.chunks) * sizeof(Wide<T>) <= context.workspace.size(),
         "reduction's workspace is too small", to_string(x.shape), context.workspace.size());
  launch<reduce_chunks<T, Map, Join>>(context, plan.grid(), plan, op, x.as<T>().data(), out, partial);
  if (partial) second_stage<T, Join>(context, op, partial, outputs, plan.chunks, plan.layout.reduced.total, out);
}

template <class T>
void reduce_numbers(const KernelContext& context, ReduceOp op, ConstTensorView x, TensorView y, AxisMask axes) {
  switch (op) {
    case ReduceOp::kSum:
    case ReduceOp::kMean: return run<T, Itself, Add>(context, op, x, y, axes);
    case ReduceOp::kProd: return run<T, Itself, Multiply>(context, op, x, y, axes);
    case ReduceOp::kL1: return run<T, Absolute, Add>(context, op, x, y, axes);
    case ReduceOp::kL2:
    case ReduceOp::kSumSquare: return run<T, Square, Add>(context, op, x, y, axes);
    default: break;
  }
  if constexpr (kIsFloat<T>) {
    if (op == ReduceOp::kLogSum) return run<T, Itself, Add>(context, op, x, y, axes);
    run<T, Itself, Largest>(context, ReduceOp::kMax, x, y, axes);
    run<T, ShiftedExp, Add>(context, ReduceOp::kLogSumExp, x, y, axes);
  } else {
    no_kernel_for(x.dtype);
  }
}

}  // namespace

size_t reduce_workspace(const Shape& x) { return static_cast<size_t>(ReductionPlan::most_chunks(x.elements())) * sizeof(double); }

void reduce(const KernelContext& context, ReduceOp op, ConstTensorView x, TensorView y, AxisMask axes) {
  if (op == ReduceOp::kMax)
    return cuda::visit_number(x.dtype, [&]<class T>() { run<T, Itself, Largest>(context, op, x, y, axes); });
  if (op == ReduceOp::kMin)
    return cuda::visit_number(x.dtype, [&]<class T>() { run<T, Itself, Smallest>(context, op, x, y, axes); });
  if (x.dtype == DType::kI32) return reduce_numbers<int32_t>(context, op, x, y, axes);
  if (x.dtype == DType::kI64) return reduce_numbers<int64_t>(context, op, x, y, axes);
  cuda::visit_float(x.dtype, [&]<class T>() { reduce_numbers<T>(context, op, x, y, axes); });
}

void reduce_to_shape(const KernelContext& context, ConstTensorView x, TensorView y) {
  reduce(context, ReduceOp::kSum, x, y, broadcast_axes(x.shape, y.shape));
}

}  // namespace tandem::cuda
