#include "runtime/onnx/old_attributes.h"

#include <algorithm>
#include <optional>

namespace tandem {
namespace {

// The attribute taken away, if it is there and a number.
std::optional<int64_t> take(Attributes& attributes, std::string_view name) {
  const auto found = attributes.find(name);
  if (found == attributes.end() || !std::holds_alternative<int64_t>(found->second)) return std::nullopt;
  const int64_t value = std::get<int64_t>(found->second);
  attributes.erase(found);
  return value;
}

// Before 7 it trained unless is_test said no.
void batch_normalization_6(Attributes& attributes, int&) {
  if (!take(attributes, "is_test").value_or(0)) attributes["training_mode"] = int64_t{1};
}

// Whether statistics are of channels, which they always are since 9.
void batch_normalization_8(Attributes& attributes, int&) {
  if (const auto spatial = take(attributes, "spatial"); spatial == 0) attributes["spatial"] = *spatial;
}

// It trained if the statistics came out. The last two outputs were for a gradient, and nothing else might read them.
void batch_normalization_13(Attributes& attributes, int& outputs) {
  if (outputs > 1) attributes["training_mode"] = int64_t{1};
  outputs = std::min(outputs, 3);
}

// Whether C may be smaller than Y, which it always may since 7.
void gemm_6(Attributes& attributes, int&) { take(attributes, "broadcast"); }

struct OldForm {
  std::string_view op;
  int64_t until;  // the opset in which it is gone
  void (*modernize)(Attributes&, int& outputs);
};
constexpr OldForm kOldForms[] = {
    {"BatchNormalization", 7, batch_normalization_6},
    {"BatchNormalization", 9, batch_normalization_8},
    {"BatchNormalization", 14, batch_normalization_13},
    {"Gemm", 7, gemm_6},
};

}  // namespace

void modernize_attributes(std::string_view op, int64_t opset, Attributes& attributes, int& outputs) {
  for (const OldForm& form : kOldForms)
    if (form.op == op && opset < form.until) form.modernize(attributes, outputs);
}

}  // namespace tandem
