#include "runtime/onnx/node_writer.h"

#include "kernels/base/half.h"
#include "runtime/onnx/older_ops.h"
#include "runtime/ops/all_ops.h"

namespace tandem {

ValueId NodeWriter::emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes) {
  const OpDef& newest = newest_op(op);
  const OpDef& def = can_be_written_older(newest) ? newest : find_op("", op, opset_);
  return graph_.add_node(def, std::move(inputs), 1, std::move(attributes), node().name + "." + std::string(op))[0];
}

ValueId NodeWriter::number(double value, ValueId like) {
  const auto constant = [&](Tensor tensor) { return graph_.add_constant(node().name + ".number", std::move(tensor)); };
  const DType dtype = graph_.value(like).type.dtype;
  if (dtype == DType::kF16) return constant(Tensor::scalar(to_f16(static_cast<float>(value))));
  if (dtype == DType::kBF16) return constant(Tensor::scalar(to_bf16(static_cast<float>(value))));
  return visit_float(dtype, [&]<class T>() { return constant(Tensor::scalar(static_cast<T>(value))); });
}

}  // namespace tandem
