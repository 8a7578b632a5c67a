// A plain convolutional network: (conv 3x3[, batch norm], ReLU)*, max-pool, (linear, ReLU)*, linear. LeNet's shape with today's
// parts.
#include "models/zoo/model_config.h"

namespace tandem {

ValueId append_cnn(nn::NetworkBuilder& builder, const ModelConfig& config, ValueId x, int64_t outputs) {
  require(builder.dims(x).size() == 4, "a cnn takes images [batch, channels, height, width]; use an mlp for a table",
          to_string(builder.dims(x)));
  for (size_t i = 0; i < config.channels.size(); ++i) {
    const std::string layer = "conv" + std::to_string(i + 1);
    x = nn::conv2d(builder, x, {.channels = config.channels[i], .kernel = 3, .padding = config.padding}, layer);
    if (config.batch_norm) x = nn::batch_norm(builder, x, layer + ".norm");
    x = nn::relu(builder, x, layer + ".relu");
  }
  if (config.pool > 1) x = nn::max_pool2d(builder, x, config.pool, "pool");
  x = nn::flatten(builder, x, "flatten");
  for (size_t i = 0; i < config.hidden.size(); ++i) {
    const std::string layer = "fc" + std::to_string(i + 1);
    x = nn::dropout(builder, x, config.dropout, layer + ".dropout");
    x = nn::relu(builder, nn::linear(builder, x, config.hidden[i], layer), layer + ".relu");
  }
  x = nn::dropout(builder, x, config.dropout, "output.dropout");
  return nn::linear(builder, x, outputs, "output");
}

}  // namespace tandem
