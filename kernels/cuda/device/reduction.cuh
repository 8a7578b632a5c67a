// The plan of a reduction over any axes, and the walk of a thread over its elements: what reductions and batch normalization
// share.
//
// Few outputs of many elements are cut into chunks, each folded by a team of its own; the results go through the workspace to a
// second stage. How many follows from the shape alone.
#pragma once

#include "kernels/api/reduce_layout.h"
#include "kernels/cuda/device/team.cuh"

namespace tandem::cuda {

struct ReductionPlan {
  static constexpr int64_t kBlocksWanted = 132 * 4, kLeastOfLane = 16;

  ReduceLayout layout;
  Team team;
  int64_t chunks = 1, chunk = 0;  // chunks of an output, elements of a chunk

  // REQUIRES: no axis is empty.
  ReductionPlan(const Shape& shape, AxisMask axes)
      : layout(shape, axes),
        team(layout.inner_reduced ? team_for_rows(layout.reduced.total)
                                  : team_for_columns(layout.reduced.total, layout.kept.total)) {
    const int64_t blocks = ceil_div(layout.kept.total, team.rows());
    chunks = std::max<int64_t>(1, std::min(ceil_div(kBlocksWanted, blocks), layout.reduced.total / (team.lanes * kLeastOfLane)));
    chunk = ceil_div(layout.reduced.total, chunks);
    chunks = ceil_div(layout.reduced.total, chunk);
  }

  // No plan for a shape of so many elements has more chunks in all, unless one an output: a team that cuts has 8 lanes or more.
  static int64_t most_chunks(int64_t elements) {
    return std::min(elements / (8 * kLeastOfLane), 2 * kBlocksWanted * (kBlock / 8));
  }

  Grid grid() const { return {.blocks = ceil_div(layout.kept.total, team.rows()), .blocks_y = chunks, .threads = kBlock}; }

  // The output of this thread; beyond layout.kept.total in the last block.
  __device__ int64_t output() const { return static_cast<int64_t>(blockIdx.x) * team.rows() + team.slot(); }
  __device__ bool active() const { return output() < layout.kept.total; }
  __device__ int64_t size_of_chunk(int64_t c) const {
    const int64_t rest = layout.reduced.total - c * chunk;
    return rest < chunk ? rest : chunk;
  }
};

// The elements of a thread: those of its output and chunk, lanes apart. No division in the loop where at most two axes are
// reduced.
//   for (Walk walk(plan); walk.left > 0; walk.advance()) ... x[walk.at()]
class Walk {
 public:
  int64_t left = 0;  // elements to come

  __device__ explicit Walk(const ReductionPlan& plan) : axes_(plan.layout.reduced) {
    const int lane = plan.team.lane(), lanes = plan.team.lanes;
    const int64_t size = plan.size_of_chunk(blockIdx.y);
    if (plan.active() && lane < size) left = (size - lane + lanes - 1) / lanes;
    start_ = left > 0 ? plan.layout.kept.offset(plan.output(), 0) : 0;
    length_ = axes_.innermost();
    stride_ = axes_.count ? axes_.stride[axes_.count - 1] : 1;
    position_ = blockIdx.y * plan.chunk + lane;
    step_ = lanes;
    if (axes_.count < 2) return;
    segment_ = position_ / length_;
    position_ -= segment_ * length_;
    segment_step_ = step_ / length_;
    step_ -= segment_step_ * length_;
    segment_offset_ = axes_.offset(segment_, 1);
  }
  __device__ int64_t at() const { return start_ + segment_offset_ + position_ * stride_; }
  __device__ void advance() {
    --left;
    position_ += step_;
    if (axes_.count < 2) return;
    int64_t steps = segment_step_;
    if (position_ >= length_) {
      position_ -= length_;
      ++steps;
    }
    if (steps == 0) return;
    segment_ += steps;
    segment_offset_ = axes_.offset(segment_, 1);
  }

 private:
  const ReduceAxes& axes_;
  int64_t start_, length_, stride_, position_, step_, segment_ = 0, segment_step_ = 0, segment_offset_ = 0;
};

// What many numbers are summed in.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, int64_t>, int64_t, std::conditional_t<std::is_integral_v<T>, int32_t, double>>;

inline constexpr int kRun = 8;  // as many are added in the narrow type

// Folds value(offset) of a thread's elements into runs of kRun, and those into `neutral`.
template <class W, class C, class Value, class Join>
__device__ W fold_walk(Walk& walk, W neutral, Value value, Join join) {
  W total = neutral;
  while (walk.left > 0) {
    C run = static_cast<C>(neutral);
    const int n = walk.left < kRun ? static_cast<int>(walk.left) : kRun;
#pragma unroll(sizeof(C) < 8 ? 4 : 1)
    for (int i = 0; i < n; ++i, walk.advance()) run = join(run, static_cast<C>(value(walk.at())));
    total = join(total, static_cast<W>(run));
  }
  return total;
}

}  // namespace tandem::cuda
