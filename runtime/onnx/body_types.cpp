#include "runtime/onnx/body_types.h"

#include "runtime/graph/op_def.h"

namespace tandem {

std::vector<TensorType> formal_types(const Graph& graph, const Node& node) {
  const bool loop = node.def->name == "Loop";
  if (!loop && node.def->name != "Scan") return {};
  std::vector<TensorType> types;
  if (loop) types = {{DType::kI64, Dims()}, {DType::kBool, Dims()}};
  const size_t batched = !loop && node.def->since < 9;  // the first input of Scan-8 is no input of its body
  for (size_t i = loop ? 2 : batched; i < node.inputs.size(); ++i) {
    types.push_back(node.inputs[i] == kNoValue ? TensorType() : graph.value(node.inputs[i]).type);
    types.back().dims.reset();  // the next iteration may bring another shape; a slice has an axis less
  }
  return types;
}

}  // namespace tandem
