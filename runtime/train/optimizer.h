// Optimizers as graph fragments over flat buckets.
#pragma once

#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

enum class OptimizerKind { kSgd, kAdam, kAdamW };

struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::kAdam;
  float momentum = 0.9f;  // SGD
  bool nesterov = false;  // SGD
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float weight_decay = 0;  // added to the gradient (SGD, Adam) or taken from the weights (AdamW)
  float clip_norm = 0;     // global gradient norm; 0: no clipping
};

// What one optimizer update reads and replaces.
struct BucketUpdate {
  std::string name;    // of the bucket
  ValueId parameters;  // state f32[n]
  ValueId gradient;    // f32[n], the sum over micro-batches and ranks
  bool decays = true;
};

// What an update is told by the rest of the step; all scalars.
struct UpdateInputs {
  ValueId learning_rate = kNoValue;   // f32
  ValueId step = kNoValue;            // i64, counts from 1
  ValueId scale = kNoValue;           // f32: gradients are multiplied by it (1 / number of micro-batches, over the loss scale)
  ValueId sum_of_squares = kNoValue;  // f32: of all gradients as they are, if that is known already
  ValueId apply = kNoValue;           // bool: whether to update at all; absent: always
};

// tandem.SumOfSquares over all gradients.
ValueId append_sum_of_squares(Graph& graph, const std::vector<BucketUpdate>& buckets);

// Appends the update of every bucket. Gradients are first multiplied by inputs.scale and, with clip_norm, by min(1, clip_norm / norm) of the
// scaled gradient over all buckets (Pascanu, Mikolov, Bengio 2013). The moments are states "<kind>.<moment>.<bucket>", zero at the start. Returns
// the gradient norm, or kNoValue without clipping. SGD: v = momentum v + g; w -= lr v (Nesterov: lr (g + momentum v)). Adam:
// Kingma, Ba 2015. AdamW: Loshchilov, Hutter 2019.
ValueId append_optimizer(Graph& graph, const OptimizerConfig& config, const std::vector<BucketUpdate>& buckets,
                         const UpdateInputs& inputs);

}  // namespace tandem
