// From a configuration and the training rows to the network: preprocessing, model, outputs.
#pragma once

#include <span>

#include "models/data/dataset.h"
#include "models/run/run_config.h"
#include "runtime/train/network.h"

namespace tandem {

inline constexpr std::string_view kProbabilities =
    "probabilities";                                           // output [batch, classes] of a classifier, columns by class id
inline constexpr std::string_view kPrediction = "prediction";  // output [batch, 1] of a regression

// A classifier has the outputs "label" (the class name; i64 if all names are whole numbers) [batch] and "probabilities"; a
// regression has "prediction". Feature encoding is fitted on `train_rows` of `data`. `model` may differ from config.model (the
// baseline's does).
Network build_network(const RunConfig& config, const ModelConfig& model, const Dataset& data,
                      std::span<const int64_t> train_rows);

}  // namespace tandem
