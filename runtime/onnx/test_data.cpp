#include "runtime/onnx/test_data.h"

#include "onnx.pb.h"
#include "onnx_data.pb.h"
#include "runtime/onnx/tensor_files.h"
#include "runtime/onnx/tensor_proto.h"

namespace tandem {
namespace {

using namespace tandem_onnx_proto;

template <class Message>
Message parse(std::string_view bytes, std::string_view what, const Limits& limits) {
  Message message;
  require(static_cast<int64_t>(bytes.size()) <= limits.model_bytes, "a message exceeds the limit (bytes, limit)", bytes.size(),
          limits.model_bytes);
  require(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())), "the bytes are no message of this kind", what);
  return message;
}

Tensor tensor_of(const TensorProto& proto, const Limits& limits) {
  TensorFiles none;
  return read_tensor(proto, none, limits);
}

RunValue value_of(const TensorProto& proto, const Limits& limits) { return RunValue::of(tensor_of(proto, limits)); }

RunValue value_of(const SequenceProto& proto, DType dtype, const Limits& limits) {
  require(proto.sparse_tensor_values_size() + proto.sequence_values_size() + proto.optional_values_size() == 0,
          "only sequences of tensors are supported", proto.name());
  std::vector<Tensor> tensors;
  for (const TensorProto& tensor : proto.tensor_values()) tensors.push_back(tensor_of(tensor, limits));
  if (!tensors.empty()) dtype = tensors[0].dtype();
  return RunValue::of(dtype, std::move(tensors));
}

RunValue value_of(const OptionalProto& proto, const TensorType& type, const Limits& limits) {
  require(!proto.has_sparse_tensor_value() && !proto.has_optional_value(), "an optional value holds a tensor or a sequence", proto.name());
  RunValue value{.present = false, .dtype = type.dtype};
  if (proto.has_tensor_value()) value = value_of(proto.tensor_value(), limits);
  if (proto.has_sequence_value()) value = value_of(proto.sequence_value(), type.dtype, limits);
  value.container = type.container;
  return value;
}

}  // namespace

RunValue parse_onnx_value(std::string_view bytes, const TensorType& type, const Limits& limits) {
  switch (type.container) {
    case Container::kTensor: return value_of(parse<TensorProto>(bytes, "TensorProto", limits), limits);
    case Container::kSequence: return value_of(parse<SequenceProto>(bytes, "SequenceProto", limits), type.dtype, limits);
    case Container::kOptional:
    case Container::kOptionalSequence: return value_of(parse<OptionalProto>(bytes, "OptionalProto", limits), type, limits);
  }
  fail(ErrorCode::kInternal, "no such container");
}

std::vector<std::string> onnx_op_names(std::string_view model_bytes, const Limits& limits) {
  const auto model = parse<ModelProto>(model_bytes, "ModelProto", limits);
  std::vector<std::string> names;
  for (const NodeProto& node : model.graph().node()) {
    const bool is_default = node.domain().empty() || node.domain() == "ai.onnx";
    names.push_back(is_default ? node.op_type() : node.domain() + "." + node.op_type());
  }
  return names;
}

std::vector<std::string> onnx_input_names(std::string_view model_bytes, const Limits& limits) {
  const auto model = parse<ModelProto>(model_bytes, "ModelProto", limits);
  std::vector<std::string> names;
  for (const ValueInfoProto& input : model.graph().input()) {
    const bool is_map = input.type().value_case() == TypeProto::kMapType;
    if (is_map) names.push_back(input.name() + ".keys");
    names.push_back(is_map ? input.name() + ".values" : input.name());
  }
  return names;
}

}  // namespace tandem
