#include "serving/engine/target_fit.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "serving/batching/instance_choice.h"
#include "serving/engine/cost_profile.h"

namespace tandem {
namespace {

std::string milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g ms", seconds * 1e3);
  return text;
}

void tell(const Model& model, const Slo& slo, const InstanceChoice& choice, const BatchCost& alone) {
  if (!model.options().device.log) return;
  model.options().device.log("model '" + model.name() + "', version " + std::to_string(model.version()) + ", runs each batch on " +
                             std::to_string(choice.lanes_per_batch) + " lanes together for " + to_string(slo) + ": a row takes " +
                             milliseconds(choice.cost.seconds(1)) + " so, " + milliseconds(alone.seconds(1)) + " on one lane; " +
                             std::to_string(choice.rows) + " rows a batch");
}

}  // namespace

TargetFit fit_to_target(Model& model, BatchingOptions& batching, const std::filesystem::path& profiles, const std::filesystem::path& file) {
  const Slo& slo = *batching.slo;
  const int lanes = model.options().lanes, threads = model.options().threads;
  const auto divide = [&](int lanes_per_batch) { model.set_lanes(lanes / lanes_per_batch, threads * lanes_per_batch); };
  WarmUpThreads own;
  BatchCost alone;
  int tried = 1;
  const auto measure = [&](int lanes_per_batch) -> BatchCost {
    tried = lanes_per_batch;
    if (lanes_per_batch == 1) return alone = cost_of_batches(model, slo, profiles, file, own);
    try {
      divide(lanes_per_batch);
    } catch (const Error&) {  // a larger team needs more memory than there is
      return {};
    }
    return cost_of_batches(model, slo, profiles, file, own);
  };
  const bool may_divide = !model.options().device.device;
  const InstanceChoice choice = choose_instances(slo, batching.max_batch_size, may_divide ? lanes : 1, measure);
  if (tried > 1) divide(choice.lanes_per_batch);
  batching.lanes_per_batch = choice.lanes_per_batch;
  if (choice.lanes_per_batch > 1) tell(model, slo, choice, alone);
  return {choice.cost, tried > 1};
}

}  // namespace tandem
