// Fits a model to its target of latency before it serves: how many of the lanes run a batch together, by what batches take on this machine.
#pragma once

#include <filesystem>

#include "serving/batching/batch_cost.h"
#include "serving/batching/batching_options.h"
#include "serving/core/model.h"

namespace tandem {

// Sets batching.lanes_per_batch (choose_instances) and divides the model's lanes so; says it in the log where lanes were put together. What batches of that model take is
// measured, or known from the profiles in the folder `profiles` (cost_profile.h), `file` being the model's; nothing is known of models of which nothing can be measured, and those
// on a GPU stay as they are. REQUIRES batching.slo. True in `divided` if the model holds nothing of what it was made ready with.
struct TargetFit {
  BatchCost cost;
  bool divided = false;
};
TargetFit fit_to_target(Model& model, BatchingOptions& batching, const std::filesystem::path& profiles, const std::filesystem::path& file);

}  // namespace tandem
