// Requests that are run before a model is ready, on every lane: model_warmup of its configuration, and the batch sizes that it is to be ready for.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/device/lane.h"
#include "runtime/graph/limits.h"
#include "serving/core/model.h"

namespace tandem {

// Zeros, random numbers (0 to 1, the same each time) or files of <folder>/warmup, `folder` being the model's. On the calling thread, while
// nobody else has the lanes. Throws InvalidArgument naming the sample for one that does not fit the model, or fails.
void warm_up(Model& model, const std::filesystem::path& folder, const Limits& limits);

// Threads that warm lanes up beside the one that loads: kept from load to load, for each new thread would get, and leave behind, an arena of the
// allocator. Any thread.
class WarmUpThreads {
 public:
  // The thread for a lane, started when it is first asked for. Null if none is to be had.
  Lane* of_lane(int lane);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

// On the CPU (a GPU has captured its graphs by then): zeros and empty texts of each size of sizes_to_make_ready, so that the first request of such a size
// finds its plan bound and its memory there. Sizes that were declared are all run; those that nobody named while they take little time, 1 in any
// case. Lanes at once, the first on the calling thread, the others on `threads`. A model with another open dimension than the batch, or an op that
// refuses zeros, is left to its requests. Throws InvalidArgument for wrong sizes, DoesNotFit for declared ones that the memory does not allow.
void warm_up_batch_sizes(Model& model, WarmUpThreads& threads);

}  // namespace tandem
