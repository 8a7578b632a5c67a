#include "models/zoo/model_config.h"

namespace tandem {

ValueId append_model(nn::NetworkBuilder& builder, const ModelConfig& config, ValueId x, int64_t outputs) {
  if (config.kind == "mlp") return append_mlp(builder, config, x, outputs);
  if (config.kind == "cnn") return append_cnn(builder, config, x, outputs);
  if (config.kind == "logistic") return append_logistic(builder, x, outputs);
  fail(ErrorCode::kInvalidArgument, "unknown model kind; known are mlp, cnn, logistic", {config.kind});
}

}  // namespace tandem
