// Requests that are run before a model is ready: model_warmup of its configuration, on every lane.
#pragma once

#include <filesystem>

#include "runtime/graph/limits.h"
#include "serving/core/model.h"

namespace tandem {

// Zeros, random numbers (0 to 1, the same each time) or files of <folder>/warmup, `folder` being the model's. On the calling thread, while
// nobody else has the lanes. Throws InvalidArgument naming the sample for one that does not fit the model, or fails.
void warm_up(Model& model, const std::filesystem::path& folder, const Limits& limits);

}  // namespace tandem
