#include "runtime/onnx/node_proto.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "kernels/base/error.h"
#include "onnx.pb.h"

namespace tandem {

using namespace tandem_onnx_proto;

namespace {

// The names that a graph and the bodies in it use but do not make.
void collect_outer_names(const GraphProto& graph, std::set<std::string_view>& names, int depth) {
  require(depth <= kDeepestBody, "subgraphs are nested too deeply (limit)", kDeepestBody);
  std::set<std::string_view> used, made;
  for (const ValueInfoProto& input : graph.input()) made.insert(input.name());
  for (const TensorProto& tensor : graph.initializer()) made.insert(tensor.name());
  for (const NodeProto& node : graph.node()) {
    used.insert(node.input().begin(), node.input().end());
    made.insert(node.output().begin(), node.output().end());
    for (const AttributeProto& attribute : node.attribute())
      if (attribute.has_g()) collect_outer_names(attribute.g(), used, depth + 1);
  }
  for (const ValueInfoProto& output : graph.output()) used.insert(output.name());
  std::ranges::set_difference(used, made, std::inserter(names, names.end()));
}

}  // namespace

std::string_view canonical_domain(std::string_view domain) { return domain == "ai.onnx" ? "" : domain; }
std::string_view printed_domain(std::string_view domain) { return domain.empty() ? "ai.onnx" : domain; }

std::string describe(const NodeProto& node) {
  const std::string made = node.output_size() ? ", making '" + node.output(0) + "'" : "";
  return fmt::format("node '{}' ({}{})", node.name(), node.op_type(), made);
}

OpKey key_of(const NodeProto& node) { return {canonical_domain(node.domain()), node.op_type(), node.overload()}; }

bool is_constant(const NodeProto& node) { return canonical_domain(node.domain()).empty() && node.op_type() == "Constant"; }
bool is_gradient(const NodeProto& node) { return node.domain() == "ai.onnx.preview.training" && node.op_type() == "Gradient"; }

std::vector<std::string_view> names_read(const NodeProto& node) {
  std::vector<std::string_view> names(node.input().begin(), node.input().end());
  for (const AttributeProto& attribute : node.attribute()) {
    if (attribute.has_g()) {
      std::set<std::string_view> outer;
      collect_outer_names(attribute.g(), outer, 1);
      names.insert(names.end(), outer.begin(), outer.end());
    }
    if (!is_gradient(node)) continue;
    names.push_back(attribute.s());
    names.insert(names.end(), attribute.strings().begin(), attribute.strings().end());
  }
  std::erase(names, "");
  return names;
}

}  // namespace tandem
