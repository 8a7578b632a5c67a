// What can be told of a NodeProto before its op is known.
#pragma once

#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace tandem_onnx_proto {
class NodeProto;
}

namespace tandem {

inline constexpr int kDeepestBody = 32;  // graphs within graphs

// "ai.onnx" is another way to write the default domain "".
std::string_view canonical_domain(std::string_view domain);
std::string_view printed_domain(std::string_view domain);

// "node 'fc1' (Gemm, making 'h')"
std::string describe(const tandem_onnx_proto::NodeProto& node);

using OpKey = std::tuple<std::string_view, std::string_view, std::string_view>;  // domain, op, overload
OpKey key_of(const tandem_onnx_proto::NodeProto& node);

// Read into the graph itself: no op stands for them.
bool is_constant(const tandem_onnx_proto::NodeProto& node);
bool is_gradient(const tandem_onnx_proto::NodeProto& node);

// The names of all values that the node reads, some perhaps more than once; views into it: its inputs, what its bodies take from the graph around them, what a Gradient refers to. Throws
// InvalidArgument for bodies nested too deeply.
std::vector<std::string_view> names_read(const tandem_onnx_proto::NodeProto& node);

}  // namespace tandem
