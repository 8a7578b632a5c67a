// Preprocessing as graph nodes: imputation, scaling and one-hot encoding fitted on the training rows, so that the model takes raw
// columns and cannot be fed anything else by training, evaluation or serving.
#pragma once

#include "models/data/feature_spec.h"
#include "models/nn/layers.h"

namespace tandem::nn {

// Adds one graph input a column ([batch, 1]; f32 for numbers, NaN meaning "no value"; string for text) in the order of `spec`'s
// lists and returns the features [batch, n]: the scaled numbers, then one 0/1 column per category and one for "no value" where
// training rows lacked one. A category that training never saw gives zeros. Nodes: ai.onnx.ml Imputer-1, Scaler-1,
// LabelEncoder-2, OneHotEncoder-1; Concat-13, Log-13, Reshape-13.
ValueId encode_features(NetworkBuilder& builder, const FeatureSpec& spec);

}  // namespace tandem::nn
