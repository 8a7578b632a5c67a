#include "runtime/onnx/value_type.h"

#include "onnx.pb.h"
#include "runtime/onnx/tensor_proto.h"

namespace tandem {
namespace {

using namespace tandem_onnx_proto;

TensorType read_tensor_type(const TypeProto& type_proto, const std::string& value_name) {
  const auto& proto = type_proto.tensor_type();
  TensorType type{dtype_of_proto(proto.elem_type()), std::nullopt};
  if (!proto.has_shape()) return type;
  require(proto.shape().dim_size() <= Shape::kMaxRank, "rank exceeds the limit (value, rank, limit)", value_name, proto.shape().dim_size(),
          Shape::kMaxRank);
  Dims& dims = type.dims.emplace();
  for (const auto& dim : proto.shape().dim()) {
    // Some exporters write -1 for a dimension that may vary.
    require(dim.dim_value() >= -1, "dimension is negative (value, dimension)", value_name, dim.dim_value());
    dims.push_back(dim.has_dim_value() && dim.dim_value() >= 0 ? Dim(int64_t{dim.dim_value()}) : Dim(dim.dim_param()));
  }
  return type;
}

}  // namespace

TensorType read_value_type(const ValueInfoProto& info) {
  // optional(seq(tensor)) at most: each step inwards is one message.
  const TypeProto* proto = &info.type();
  const bool optional = proto->value_case() == TypeProto::kOptionalType;
  if (optional) proto = &proto->optional_type().elem_type();
  const bool sequence = proto->value_case() == TypeProto::kSequenceType;
  if (sequence) proto = &proto->sequence_type().elem_type();
  require(proto->value_case() == TypeProto::kTensorType,
          "only tensors, sequences of tensors and optional ones are supported as inputs and outputs of a graph (value)", info.name());
  TensorType type = read_tensor_type(*proto, info.name());
  type.container = optional ? (sequence ? Container::kOptionalSequence : Container::kOptional) : sequence ? Container::kSequence : Container::kTensor;
  return type;
}

}  // namespace tandem
