// From a network to the graphs of one training step: forward, loss, backward, all-reduce and update are nodes of one graph.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/train/buckets.h"
#include "runtime/train/network.h"
#include "runtime/train/optimizer.h"
#include "runtime/train/schedule.h"

namespace tandem {

enum class LossKind { kCrossEntropy, kMeanSquaredError };

struct StepConfig {
  LossKind loss = LossKind::kCrossEntropy;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  int world_size = 1;              // ranks: gradients are summed over them
  int accumulate = 1;              // micro-batches of one rank in one step
  int64_t bucket_bytes = 1 << 20;  // of gradients per all-reduce
  bool reduces_alone = false;      // all-reduce with one rank too: it changes nothing, and shows what the way costs
  uint64_t seed = 0;               // of dropout
  bool on_device = false;          // for a GPU, where an attention that is written out stays so: there are twins for its parts alone
  // kBF16 or kF16: on a GPU products and what follows them (runtime/passes/mixed_precision.h); on a CPU kBF16 rounds what products read, when
  // the plan is made (runtime/passes/bf16_products.cpp), and kF16 is for tests.
  DType precision = DType::kF32;
};

// All graphs share their states by name: "parameters.<bucket>", the optimizer's moments, "step", "gradients.<bucket>"
// (accumulation), in f16 "loss_scale", "loss_scale.good_steps" and "applied_steps" (runtime/train/loss_scaling.h). Inputs of the
// training graphs: those of the network that the loss depends on, then "target" (i64 of the scores' shape without the classes, or
// f32 of their shape for a mean squared error), and "micro_batch" (i64 scalar, the number of this micro-batch in the whole run) if
// the network has dropout.
struct StepGraphs {
  std::optional<Graph> first;   // accumulate > 1: sets the gradient sums. Output: loss.
  std::optional<Graph> middle;  // accumulate > 2: adds to them. Output: loss.
  Graph update;    // the last micro-batch: adds, reduces over ranks, updates. Outputs: loss, learning rate[, gradient norm].
  Graph evaluate;  // the network itself over the same states, in inference form
  std::vector<Bucket> buckets;
  std::vector<ParameterInfo> parameters;
};

StepGraphs build_step(const Network& network, const StepConfig& config);

}  // namespace tandem
