// The statistics extension of the protocol, as a message and as JSON.
#pragma once

#include <span>
#include <string>

#include "serving/engine/repository.h"

namespace inference {
class ModelStatisticsResponse;
}

namespace tandem {

// Of the listings that are ready; times in nanoseconds.
void write_statistics(std::span<const ModelListing> listings, inference::ModelStatisticsResponse& message);

// The same: {"model_stats": [...]}, all keys present (perf_analyzer reads without looking).
std::string statistics_json(std::span<const ModelListing> listings);

}  // namespace tandem
