// AttributeProto <-> Attribute.
#pragma once

#include <string_view>

#include "runtime/graph/graph.h"
#include "runtime/graph/limits.h"

namespace tandem_onnx_proto {
class AttributeProto;
}

namespace tandem {

class TensorFiles;

// Throws InvalidArgument naming the attribute: contradicting types, a subgraph, a type, listed tensors. A sparse tensor comes dense.
Attribute read_attribute(const tandem_onnx_proto::AttributeProto& proto, TensorFiles& files,
                         const Limits& limits);

void write_attribute(std::string_view name, const Attribute& attribute, tandem_onnx_proto::AttributeProto& proto);

}  // namespace tandem
