// What batches of a model take on this machine, measured before it serves and kept for the next time.
//
// A profile is a file named by the SHA-256 of the model's and of the machine, and by lanes x threads: a line for each batch size, "rows seconds deviation batches".
#pragma once

#include <filesystem>

#include "serving/batching/batch_cost.h"
#include "serving/batching/slo.h"
#include "serving/core/model.h"
#include "serving/engine/warm_up.h"

namespace tandem {

// From the profile in `folder`, or else measured: zeros in batches of 1, 2, 4 ... rows until one takes as long as the target allows, 64
// at most, three of each on every lane of the model, all lanes at once on `threads`. Nothing is known of a model with another open dimension than the batch. On the
// thread of a load, before any lane runs the model. A profile that cannot be read or written is none.
BatchCost cost_of_batches(Model& model, const Slo& slo, const std::filesystem::path& folder, const std::filesystem::path& file, WarmUpThreads& threads);

// The folder of profiles of this user: $XDG_CACHE_HOME, or ~/.cache; empty if there is no home.
std::filesystem::path profile_folder();

}  // namespace tandem
