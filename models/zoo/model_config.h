// Which network to build: the keys of a config's [model] section.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/nn/layers.h"

namespace tandem {

struct ModelConfig {
  std::string kind = "mlp";                  // mlp | cnn | logistic
  std::vector<int64_t> hidden = {64, 32};    // mlp, cnn: widths of the fully connected layers
  std::vector<int64_t> channels = {32, 64};  // cnn: of each 3x3 convolution
  int64_t padding = 0;                       // cnn: of each convolution
  int64_t pool = 2;                          // cnn: max-pooling after the last convolution; 1: none
  bool batch_norm = false;                   // cnn: after each convolution
  float dropout = 0;                         // before each fully connected layer but the first of an mlp
};

// Appends the network that `config.kind` names. `x`: features [batch, n] (mlp, logistic; images are flattened) or images
// [batch, channels, height, width] (cnn). Returns the scores [batch, outputs]. Throws InvalidArgument naming the known kinds.
ValueId append_model(nn::NetworkBuilder& builder, const ModelConfig& config, ValueId x, int64_t outputs);

// One architecture a file.
ValueId append_mlp(nn::NetworkBuilder& builder, const ModelConfig& config, ValueId x, int64_t outputs);
ValueId append_cnn(nn::NetworkBuilder& builder, const ModelConfig& config, ValueId x, int64_t outputs);
ValueId append_logistic(nn::NetworkBuilder& builder, ValueId x, int64_t outputs);

}  // namespace tandem
