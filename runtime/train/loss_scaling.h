// Loss scaling for f16 gradients as a graph fragment (Micikevicius et al., "Mixed Precision Training", 2018).
//
// The loss is multiplied by a scale before it is differentiated, so that small gradients do not vanish in f16. A step whose gradients are
// not finite is skipped and halves the scale; 2000 good steps in a row double it. The numbers are those of torch.amp.GradScaler. All of it
// lives in states, so a captured step goes on by itself.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

class LossScaling {
 public:
  static constexpr float kInitialScale = 65536;
  static constexpr float kMostScale = 16777216;  // 2^24: beyond it nothing is gained
  static constexpr int64_t kGrowthInterval = 2000;

  // Adds the states "loss_scale" (f32) and "loss_scale.good_steps" (i64).
  explicit LossScaling(Graph& graph);

  // The scale of this step, an f32 scalar.
  ValueId scale() const { return scale_; }
  // A bool scalar: whether the gradients, whose sum of squares this is, are all finite.
  ValueId append_check(ValueId sum_of_squares);
  // What becomes of the scale after this step.
  void append_update(ValueId finite);

 private:
  Graph& graph_;
  ValueId scale_, good_steps_;
};

}  // namespace tandem
