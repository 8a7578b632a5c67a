// Multi-layer perceptron: (linear, ReLU)* linear.
#include "models/zoo/model_config.h"

namespace tandem {

ValueId append_mlp(nn::NetworkBuilder& builder, const ModelConfig& config, ValueId x, int64_t outputs) {
  if (builder.dims(x).size() > 2) x = nn::flatten(builder, x, "flatten");
  for (size_t i = 0; i < config.hidden.size(); ++i) {
    const std::string layer = "fc" + std::to_string(i + 1);
    if (i > 0) x = nn::dropout(builder, x, config.dropout, layer + ".dropout");
    x = nn::relu(builder, nn::linear(builder, x, config.hidden[i], layer), layer + ".relu");
  }
  x = nn::dropout(builder, x, config.hidden.empty() ? 0 : config.dropout, "output.dropout");
  return nn::linear(builder, x, outputs, "output");
}

}  // namespace tandem
