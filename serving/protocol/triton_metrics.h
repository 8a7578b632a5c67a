// Triton's names for what is counted, so that dashboards made for it work: nv_inference_*, beside our own in serving/monitor.
#pragma once

#include <span>
#include <string>

#include "serving/engine/repository.h"

namespace tandem {

// The text exposition format of Prometheus, 0.0.4: of each version that is loaded, since it was loaded, with the labels model and version.
// Durations are sums in microseconds.
std::string triton_metrics_text(std::span<const ModelListing> listings);

}  // namespace tandem
