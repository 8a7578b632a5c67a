// The protocol's message, ModelConfig, to the plain configuration. For this folder only.
#pragma once

#include "serving/core/model_config.h"

namespace tandem {

// Enums and numbers that are out of range throw InvalidArgument naming the field, with its line in `lines`.
ServingConfig config_of_message(const inference::ModelConfig& message, std::map<std::string, int> lines);

// Throws InvalidArgument for what is wrong whatever the model is.
void check_model_config(const ServingConfig& config);

// "TYPE_FP32"; TYPE_INVALID for what has none.
std::string config_type_name(DType dtype);

}  // namespace tandem
