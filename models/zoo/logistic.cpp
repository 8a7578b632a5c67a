// (Multinomial) logistic regression: one linear layer before the softmax. The baseline of every classifier.
#include "models/zoo/model_config.h"

namespace tandem {

ValueId append_logistic(nn::NetworkBuilder& builder, ValueId x, int64_t outputs) {
  if (builder.dims(x).size() > 2) x = nn::flatten(builder, x, "flatten");
  return nn::linear(builder, x, outputs, "output");
}

}  // namespace tandem
