#include "runtime/onnx/value_type.h"

#include <fmt/format.h>

#include "onnx.pb.h"
#include "runtime/onnx/tensor_proto.h"

namespace tandem {
namespace {

using namespace tandem_onnx_proto;

// A size under a name of its own: one that reads like an expression of the shape rules ("past + 1", "2*batch": runtime/ops/dim_algebra.h)
// is no promise that the sizes fed keep to it, and memory is shared between values of one symbolic shape.
Dim named(const std::string& given) {
  std::string symbol;
  for (const char c : given) symbol += c == ' ' ? '_' : c == '*' ? 'x' : c == '(' ? '[' : c == ')' ? ']' : c;
  if (symbol.starts_with('-')) symbol[0] = '_';
  return Dim(std::move(symbol));
}

TensorType read_tensor_type(const TypeProto::Tensor& proto, std::string_view value) {
  TensorType type{dtype_of_proto(proto.elem_type()), std::nullopt};
  if (!proto.has_shape()) return type;
  require(proto.shape().dim_size() <= Shape::kMaxRank, "rank exceeds the limit (value, rank, limit)", value, proto.shape().dim_size(),
          Shape::kMaxRank);
  Dims& dims = type.dims.emplace();
  for (const auto& dim : proto.shape().dim()) {
    // Some exporters write -1 for a dimension that may vary.
    require(dim.dim_value() >= -1, "dimension is negative (value, dimension)", value, dim.dim_value());
    dims.push_back(dim.has_dim_value() && dim.dim_value() >= 0 ? Dim(int64_t{dim.dim_value()}) : named(dim.dim_param()));
  }
  return type;
}

}  // namespace

TensorType read_type(const TypeProto& outermost, std::string_view value) {
  // optional(seq(tensor)) at most: each step inwards is one message.
  const TypeProto* proto = &outermost;
  const bool optional = proto->value_case() == TypeProto::kOptionalType;
  if (optional) proto = &proto->optional_type().elem_type();
  const bool sequence = proto->value_case() == TypeProto::kSequenceType;
  if (sequence) proto = &proto->sequence_type().elem_type();
  const bool maps = sequence && !optional && proto->value_case() == TypeProto::kMapType;
  if (maps) proto = &proto->map_type().value_type();
  require(proto->value_case() == TypeProto::kTensorType,
          "only tensors, sequences of tensors and optional ones are supported as inputs and outputs of a graph (value)", value);
  TensorType type = read_tensor_type(proto->tensor_type(), value);
  if (maps) return {type.dtype};
  type.container = optional   ? (sequence ? Container::kOptionalSequence : Container::kOptional)
                   : sequence ? Container::kSequence
                              : Container::kTensor;
  return type;
}

TensorType read_value_type(const ValueInfoProto& info) { return read_type(info.type(), info.name()); }

std::optional<MapTypes> read_map_types(const ValueInfoProto& info) {
  if (info.type().value_case() != TypeProto::kMapType) return std::nullopt;
  const TypeProto::Map& map = info.type().map_type();
  require(map.value_type().value_case() == TypeProto::kTensorType, "a map must be one to tensors (value)", info.name());
  const Dims size = {Dim(info.name() + ".size")};
  return MapTypes{{dtype_of_proto(map.key_type()), size}, {dtype_of_proto(map.value_type().tensor_type().elem_type()), size}};
}

void write_type(const TensorType& type, TypeProto& outermost) {
  const bool optional = type.container == Container::kOptional || type.container == Container::kOptionalSequence;
  const bool sequence = type.container == Container::kSequence || type.container == Container::kOptionalSequence;
  TypeProto* proto = &outermost;
  if (optional) proto = proto->mutable_optional_type()->mutable_elem_type();
  if (sequence) proto = proto->mutable_sequence_type()->mutable_elem_type();
  auto* tensor = proto->mutable_tensor_type();
  tensor->set_elem_type(static_cast<int>(type.dtype));
  if (!type.dims) return;
  tensor->mutable_shape();  // a scalar has a shape too
  for (const Dim& dim : *type.dims) {
    auto* to = tensor->mutable_shape()->add_dim();
    if (dim.known())
      to->set_dim_value(dim.size);
    else if (!dim.symbol.empty())
      to->set_dim_param(dim.symbol);
  }
}

void check_declared(const ValueInfoProto& info, const Value& value) {
  if (info.type().value_case() == TypeProto::VALUE_NOT_SET) return;
  const TensorType declared = read_value_type(info);
  const auto text = [](const TensorType& type) {
    constexpr std::string_view kContainers[] = {"{}", "sequence of {}", "optional {}", "optional sequence of {}"};
    return fmt::format(fmt::runtime(kContainers[static_cast<size_t>(type.container)]), name(type.dtype));
  };
  require(declared.dtype == value.type.dtype && declared.container == value.type.container,
          "a graph output is declared with another type than its node makes (value, declared, made)", value.name, text(declared),
          text(value.type));
}

}  // namespace tandem
