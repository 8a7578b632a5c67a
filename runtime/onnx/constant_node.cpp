#include "runtime/onnx/constant_node.h"

namespace tandem {

Tensor constant_of(const Attributes& attributes) {
  require(attributes.size() == 1, "a Constant has one attribute (has)", attributes.size());
  const auto& [key, value] = *attributes.begin();
  const auto dims = [](const auto& list) { return Shape{static_cast<int64_t>(list.size())}; };
  Tensor content;
  if (const auto* tensor = std::get_if<Tensor>(&value); tensor && (key == "value" || key == "sparse_value")) content = *tensor;
  if (const auto* number = std::get_if<float>(&value); number && key == "value_float") content = Tensor::scalar(*number);
  if (const auto* number = std::get_if<int64_t>(&value); number && key == "value_int") content = Tensor::scalar(*number);
  if (const auto* text = std::get_if<std::string>(&value); text && key == "value_string")
    content = Tensor::strings({}, {text, 1});
  if (const auto* list = std::get_if<std::vector<float>>(&value); list && key == "value_floats")
    content = Tensor::of(dims(*list), *list);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value); list && key == "value_ints")
    content = Tensor::of(dims(*list), *list);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value); list && key == "value_strings")
    content = Tensor::strings(dims(*list), *list);
  require(static_cast<bool>(content), "not a known attribute of Constant, or of another type", key);
  return content;
}

}  // namespace tandem
