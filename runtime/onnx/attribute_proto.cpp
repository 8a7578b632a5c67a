#include "runtime/onnx/attribute_proto.h"

#include "onnx.pb.h"
#include "runtime/onnx/sparse_tensor.h"
#include "runtime/onnx/tensor_files.h"
#include "runtime/onnx/tensor_proto.h"
#include "runtime/onnx/value_type.h"

namespace tandem {
namespace {

using tandem_onnx_proto::AttributeProto;

// Files before IR version 2, and some exporters, give no type: it is that of the one field that is there.
AttributeProto::AttributeType type_of(const AttributeProto& proto) {
  if (proto.type() != AttributeProto::UNDEFINED) return proto.type();
  if (proto.has_f()) return AttributeProto::FLOAT;
  if (proto.has_i()) return AttributeProto::INT;
  if (proto.has_s()) return AttributeProto::STRING;
  if (proto.has_t()) return AttributeProto::TENSOR;
  if (proto.has_g()) return AttributeProto::GRAPH;
  if (proto.has_tp()) return AttributeProto::TYPE_PROTO;
  if (proto.has_sparse_tensor()) return AttributeProto::SPARSE_TENSOR;
  if (proto.floats_size()) return AttributeProto::FLOATS;
  if (proto.ints_size()) return AttributeProto::INTS;
  if (proto.strings_size()) return AttributeProto::STRINGS;
  return AttributeProto::UNDEFINED;
}

// How many kinds of content are there. The stated type must be the only one; none at all means zero or an empty list, since a
// proto3 writer leaves those out.
void require_only(const AttributeProto& proto, AttributeProto::AttributeType type) {
  const std::pair<AttributeProto::AttributeType, bool> present[] = {
      {AttributeProto::FLOAT, proto.has_f()},
      {AttributeProto::INT, proto.has_i()},
      {AttributeProto::STRING, proto.has_s()},
      {AttributeProto::TENSOR, proto.has_t()},
      {AttributeProto::GRAPH, proto.has_g()},
      {AttributeProto::SPARSE_TENSOR, proto.has_sparse_tensor()},
      {AttributeProto::TYPE_PROTO, proto.has_tp()},
      {AttributeProto::FLOATS, proto.floats_size() > 0},
      {AttributeProto::INTS, proto.ints_size() > 0},
      {AttributeProto::STRINGS, proto.strings_size() > 0},
      {AttributeProto::TENSORS, proto.tensors_size() > 0},
      {AttributeProto::GRAPHS, proto.graphs_size() > 0},
  };
  for (const auto& [kind, is_present] : present)
    // A proto3 writer also fills in empty defaults of the scalar fields; an f, i or s beside a list is taken for that.
    require(!is_present || kind == type || (kind == AttributeProto::FLOAT && proto.f() == 0) ||
                (kind == AttributeProto::INT && proto.i() == 0) || (kind == AttributeProto::STRING && proto.s().empty()),
            "attribute has content of another type than stated (attribute, stated, has)", proto.name(),
            AttributeProto::AttributeType_Name(type), AttributeProto::AttributeType_Name(kind));
}

struct Writer {
  AttributeProto& proto;
  void operator()(int64_t v) const { proto.set_type(AttributeProto::INT), proto.set_i(v); }
  void operator()(float v) const { proto.set_type(AttributeProto::FLOAT), proto.set_f(v); }
  void operator()(const std::string& v) const { proto.set_type(AttributeProto::STRING), proto.set_s(v); }
  void operator()(const std::vector<int64_t>& v) const {
    proto.set_type(AttributeProto::INTS), proto.mutable_ints()->Assign(v.begin(), v.end());
  }
  void operator()(const std::vector<float>& v) const {
    proto.set_type(AttributeProto::FLOATS), proto.mutable_floats()->Assign(v.begin(), v.end());
  }
  void operator()(const std::vector<std::string>& v) const {
    proto.set_type(AttributeProto::STRINGS);
    for (const std::string& s : v) proto.add_strings(s);
  }
  void operator()(const Tensor& v) const { proto.set_type(AttributeProto::TENSOR), write_tensor(v, "", *proto.mutable_t()); }
  void operator()(const Subgraph&) const { fail(ErrorCode::kInvalidArgument, "ops with a subgraph cannot be written (attribute)", {proto.name()}); }
};

}  // namespace

Attribute read_attribute(const AttributeProto& proto, TensorFiles& files, const Limits& limits) {
  require(proto.ref_attr_name().empty(), "attribute refers to a function's parameter outside of a function", proto.name());
  const auto type = type_of(proto);
  require_only(proto, type);
  switch (type) {
    case AttributeProto::FLOAT: return proto.f();
    case AttributeProto::INT: return int64_t{proto.i()};
    case AttributeProto::STRING: return proto.s();
    case AttributeProto::TENSOR: return read_tensor(proto.t(), files, limits);
    case AttributeProto::SPARSE_TENSOR: return read_sparse_tensor(proto.sparse_tensor(), files, limits);
    case AttributeProto::FLOATS: return std::vector<float>(proto.floats().begin(), proto.floats().end());
    case AttributeProto::INTS: return std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
    case AttributeProto::STRINGS: return std::vector<std::string>(proto.strings().begin(), proto.strings().end());
    case AttributeProto::TYPE_PROTO: {
      const TensorType kept = read_type(proto.tp(), proto.name());
      return std::vector<int64_t>{static_cast<int64_t>(kept.container), static_cast<int64_t>(kept.dtype)};
    }
    case AttributeProto::GRAPH:
    case AttributeProto::GRAPHS:
      fail(ErrorCode::kInvalidArgument, "ops with a subgraph are not supported (attribute)", {proto.name()});
    default:
      fail(ErrorCode::kInvalidArgument, "attribute type is not supported (attribute, type)",
           {proto.name(), AttributeProto::AttributeType_Name(type)});
  }
}

void write_attribute(std::string_view name, const Attribute& attribute, AttributeProto& proto) {
  proto.set_name(std::string(name));
  std::visit(Writer{proto}, attribute);
}

}  // namespace tandem
