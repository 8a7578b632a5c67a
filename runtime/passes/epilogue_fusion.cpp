// Lets a matrix product or convolution add its bias and a residual and apply its activation while its result is still in registers or
// cache:
//
//   Gemm | MatMul | Conv, then Add of a bias, then Add of a residual, then an activation  ->  tandem.FusedGemm | FusedMatMul | FusedConv
//
// each of the three or not, the two Adds in either order. The activations are those of runtime/ops/activation.h. One sweep in running
// order: each step widens what the step before has made, and the fused node stands where the last of its parts stood, so that all it
// reads has been made.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/ops/activation.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/elementwise_unary.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

const OpDef* fused_form(const OpDef& def) {
  if (def.domain == "tandem") {
    const bool is_fused = def.name == "FusedGemm" || def.name == "FusedMatMul" || def.name == "FusedConv";
    return is_fused ? &def : def.name == "MatMul" ? &newest_op("FusedMatMul", "tandem") : nullptr;
  }
  if (!def.domain.empty()) return nullptr;
  if (def.name == "Gemm") return &newest_op("FusedGemm", "tandem");
  if (def.name == "MatMul") return &newest_op("FusedMatMul", "tandem");
  if (def.name == "Conv") return &newest_op("FusedConv", "tandem");
  return nullptr;
}

bool has_activation(const Node& node) { return !NodeContext(node).get_string("activation", "").empty(); }

bool is_float_or_double(const TensorType& type) { return type.dtype == DType::kF32 || type.dtype == DType::kF64; }

// A constant of shape [1, ..., 1, n], or any vector of n: a parameter in training.
bool is_row(const Value& value, const Dim& n) {
  if (!n.known()) return false;
  if (value.kind != ValueKind::kConstant) return value.type.dims && *value.type.dims == Dims{n};
  const Shape& shape = value.data.shape();
  return shape.rank() >= 1 && shape.elements() == n.size && shape[shape.rank() - 1] == n.size;
}

// A constant of shape [n, 1, ..., 1] or [1, n, 1, ..., 1] beside an image of `rank` axes.
bool is_channel_bias(const Value& value, const Dim& n, int rank) {
  if (value.kind != ValueKind::kConstant || !n.known()) return false;
  const Shape& shape = value.data.shape();
  const int axis = shape.rank() - (rank - 1);
  return axis >= 0 && axis <= 1 && shape.elements() == n.size && shape[axis] == n.size;
}

// The attributes of a fused op that say what this node does to each element; none if an epilogue cannot do it.
std::optional<Attributes> as_epilogue(const PatternGraph& pattern, const Node& node) {
  if (!node.def->domain.empty()) return std::nullopt;
  const std::string_view op = node.def->name;
  const auto found = std::ranges::find(kFusableActivations, op, &std::pair<std::string_view, UnaryOp>::first);
  if (found == std::end(kFusableActivations)) return std::nullopt;
  const NodeContext context(node);
  UnaryParameters parameters = elementwise::parameters_of(context, found->second);
  if (op == "Clip") {
    const auto bounds = pattern.bound(node.outputs[0]);
    if (!bounds) return std::nullopt;
    parameters = {static_cast<float>(bounds->low), static_cast<float>(bounds->high)};
    const auto exact = [](float narrow, double wide) { return static_cast<double>(narrow) == wide; };
    if (!exact(parameters.alpha, bounds->low) || !exact(parameters.beta, bounds->high)) return std::nullopt;
  }
  const bool by_tanh = op == "Gelu" && context.get_string("approximate", "none") == "tanh";
  Attributes attributes = {{"activation", std::string(by_tanh ? "GeluTanh" : op)}};
  if (parameters.alpha != 0) attributes["activation_alpha"] = parameters.alpha;
  if (parameters.beta != 0) attributes["activation_beta"] = parameters.beta;
  return attributes;
}

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : pattern_(graph), notes_(notes) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < pattern_.graph().nodes.size(); ++n) {
      const Node& node = pattern_.graph().nodes[n];
      changes += PatternGraph::is(node, "Add") ? fuse_add(n) : fuse_activation(n);
    }
    pattern_.finish();
    return changes;
  }

 private:
  using InputSlot = std::pair<size_t, ValueId>;

  const TensorType& type(ValueId id) const { return pattern_.type(id); }

  // The product or convolution that makes `id`.
  const Node* linear(ValueId id) const {
    const Node* node = pattern_.maker(id);
    return node && fused_form(*node->def) ? node : nullptr;
  }

  bool miss(size_t n, std::string why) {
    notes_.near_miss(pattern_.graph(), pattern_.graph().nodes[n], std::move(why));
    return false;
  }

  // `fused`: what the product becomes, with all that node n does.
  bool put(size_t n, const Node& product, Node fused) {
    if (!is_float_or_double(type(product.outputs[0])))
      return miss(n, fmt::format("{} is of another type than f32 and f64", pattern_.graph().value(product.outputs[0]).name));
    std::vector<ValueId> leaves = product.inputs;
    for (ValueId id : pattern_.graph().nodes[n].inputs)
      if (id != product.outputs[0]) leaves.push_back(id);
    const Cut cut = pattern_.cut(n, leaves);
    if (!cut) return miss(n, cut.obstacle);
    fused.def = fused_form(*product.def);
    pattern_.replace(n, cut, std::move(fused));
    return true;
  }

  bool fuse_activation(size_t n) {
    const Node& node = pattern_.graph().nodes[n];
    const Node* product = node.inputs.empty() ? nullptr : linear(node.inputs[0]);
    const auto epilogue = product ? as_epilogue(pattern_, node) : std::nullopt;
    if (!epilogue) return false;
    if (has_activation(*product)) return false;
    Node fused = *product;
    for (const auto& [name, value] : *epilogue) fused.attributes[name] = value;
    return put(n, *product, std::move(fused));
  }

  bool fuse_add(size_t n) {
    const Node& add = pattern_.graph().nodes[n];
    return fuse_addend(n, add.inputs[0], add.inputs[1]) || fuse_addend(n, add.inputs[1], add.inputs[0]);
  }

  bool fuse_addend(size_t n, ValueId sum, ValueId addend) {
    const Node* product = linear(sum);
    if (!product || has_activation(*product) || sum == addend) return false;
    const auto input = slot_for(*product, sum, addend);
    if (!input) return false;
    Node fused = *product;
    fused.inputs.resize(std::max(fused.inputs.size(), input->first + 1), kNoValue);
    fused.inputs[input->first] = input->second;
    if (!NodeContext(*product).has_input(2)) fused.attributes.erase("beta");  // it scaled the C that was not there
    return put(n, *product, std::move(fused));
  }

  std::optional<InputSlot> slot_for(const Node& product, ValueId sum, ValueId addend) {
    const NodeContext context(product);
    const bool is_conv = fused_form(*product.def)->name == "FusedConv";
    if (!context.has_input(2) && (is_conv ? is_channel_bias_of(sum, addend) : is_row_of(product, sum, addend)))
      return InputSlot{2, flattened(addend)};
    if (!context.has_input(3) && takes_residual(context) && pattern_.same_shape(sum, addend) && type(sum).dims) return InputSlot{3, addend};
    return std::nullopt;
  }

  // Beside a residual C must be one value a column.
  bool takes_residual(const NodeContext& product) const {
    if (!product.has_input(2) || fused_form(*product.node().def)->name != "FusedGemm") return true;
    const ValueId c = product.node().inputs[2], y = product.node().outputs[0];
    return product.get_float("beta", 1) == 1 && pattern_.rank(c) == 1 && (*type(c).dims)[0].known() && type(y).dims &&
           (*type(c).dims)[0] == type(y).dims->back();
  }

  bool is_channel_bias_of(ValueId sum, ValueId addend) const {
    const auto& dims = type(sum).dims;
    return dims && is_channel_bias(pattern_.graph().value(addend), (*dims)[1], static_cast<int>(dims->size()));
  }

  // One value a column. If the rank of the sum is not known, a vector is one whatever the rank.
  bool is_row_of(const Node& product, ValueId sum, ValueId addend) const {
    const auto &dims = type(sum).dims, &right = type(product.inputs[1]).dims;
    if (!right || right->size() < 2 || (dims && dims->empty())) return false;
    const bool transposed = NodeContext(product).get_int("transB", 0) != 0;
    const Value& row = pattern_.graph().value(addend);
    return is_row(row, (*right)[right->size() - (transposed ? 2 : 1)]) && pattern_.rank(addend) <= (dims ? dims->size() : 1);
  }

  // A constant as a vector.
  ValueId flattened(ValueId id) {
    const Value& value = pattern_.graph().value(id);
    if (value.kind != ValueKind::kConstant || value.data.shape().rank() == 1) return id;
    const Tensor data = value.data;
    return pattern_.add_constant(std::string(value.name), data.reshaped({data.elements()}));
  }

  PatternGraph pattern_;
  PassNotes& notes_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass epilogue_fusion_pass = {"epilogue_fusion",
                                   "add bias and residual and apply the activation inside Gemm, MatMul and Conv", apply};

}  // namespace tandem
