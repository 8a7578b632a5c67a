// AttributeProto <-> Attribute.
#pragma once

#include <filesystem>
#include <string_view>

#include "runtime/graph/graph.h"
#include "runtime/graph/limits.h"

namespace tandem_onnx_proto {
class AttributeProto;
}

namespace tandem {

// Throws InvalidArgument naming the attribute: contradicting types, a subgraph, a type, listed tensors. A sparse tensor comes dense.
Attribute read_attribute(const tandem_onnx_proto::AttributeProto& proto, const std::filesystem::path& folder,
                         const Limits& limits);

void write_attribute(std::string_view name, const Attribute& attribute, tandem_onnx_proto::AttributeProto& proto);

}  // namespace tandem
