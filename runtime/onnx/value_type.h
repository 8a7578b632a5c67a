// TypeProto <-> TensorType: the types of graph inputs and outputs, and of attributes that are types.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/graph/graph.h"

namespace tandem_onnx_proto {
class TypeProto;
class ValueInfoProto;
}  // namespace tandem_onnx_proto

namespace tandem {

// Of a tensor, a sequence of tensors, or one of these that may be absent. A sequence of maps, which ZipMap makes, is the tensor of their
// values. Throws InvalidArgument naming the value for any other type, an element type that is not stored, too many dimensions or a negative one.
TensorType read_type(const tandem_onnx_proto::TypeProto& proto, std::string_view value);
TensorType read_value_type(const tandem_onnx_proto::ValueInfoProto& info);

// A graph input that is a map from text or integers to text or numbers. Tandem has no maps: it becomes two inputs of one length, its keys
// ("x.keys") and their values ("x.values"), which the ops on maps take in its place (contrib_maps.cpp).
struct MapTypes {
  TensorType keys, values;
};
// Nothing if it is no map. Throws InvalidArgument naming it for a map of anything else.
std::optional<MapTypes> read_map_types(const tandem_onnx_proto::ValueInfoProto& info);

void write_type(const TensorType& type, tandem_onnx_proto::TypeProto& proto);

// Throws InvalidArgument unless the element type and container that the file declares are those of the value. The declared shape is advice, as
// other value_info is: files whose inputs were edited often keep stale ones.
void check_declared(const tandem_onnx_proto::ValueInfoProto& info, const Value& value);

}  // namespace tandem
