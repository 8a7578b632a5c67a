// The statistics extension of the protocol, as JSON.
#pragma once

#include <span>
#include <string>

#include "serving/engine/repository.h"

namespace tandem {

// {"model_stats": [...]} of the listings that are ready; times in nanoseconds, all keys present (perf_analyzer reads without
// looking).
std::string statistics_json(std::span<const ModelListing> listings);

}  // namespace tandem
