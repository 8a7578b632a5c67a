// Lets a matrix product or convolution add its bias (or a residual) and apply its activation while its result is still in
// registers:
//
//   Gemm | MatMul | Conv, then Add of a bias, then Relu | Gelu | Sigmoid | Tanh  ->  tandem.FusedGemm | FusedMatMul | FusedConv
//
// The inner tensors must have no other reader. One sweep in running order: each step widens what the step before has made, and
// the fused node stands where the last of its parts stood, so that all it reads has been made.
#include <algorithm>

#include "runtime/graph/rewrite.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"

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

bool is_activation(const Node& node) {
  constexpr std::string_view kActivations[] = {"Relu", "Gelu", "Sigmoid", "Tanh"};
  return node.def->domain.empty() && std::ranges::find(kActivations, node.def->name) != std::end(kActivations) &&
         NodeContext(node).get_string("approximate", "none") == "none";
}

bool has_activation(const Node& node) { return !NodeContext(node).get_string("activation", "").empty(); }

bool is_float_or_double(const TensorType& type) { return type.dtype == DType::kF32 || type.dtype == DType::kF64; }

// A constant of shape [1, ..., 1, n], or [n].
bool is_row(const Value& value, const Dim& n) {
  if (value.kind != ValueKind::kConstant || !n.known()) return false;
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

class Fusion {
 public:
  explicit Fusion(Graph& graph)
      : graph_(graph),
        producers_(graph.producers()),
        uses_(count_uses(graph)),
        state_changes_(count_state_changes(graph)),
        removed_(graph.nodes.size()) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      const bool is_add = node.def->domain.empty() && node.def->name == "Add";
      changes += is_add ? fuse_add(n) : is_activation(node) && fuse_activation(n);
    }
    erase_nodes(graph_, removed_);
    drop_unused_values(graph_);
    return changes;
  }

 private:
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }

  // The node that makes `id`, if it is one to fuse into node n, and nobody else reads the value.
  const Node* open_linear(ValueId id, size_t n) const {
    const int p = producers_[static_cast<size_t>(id)];
    if (p < 0 || state_changes_[static_cast<size_t>(p)] != state_changes_[n] || uses_[static_cast<size_t>(id)] != 1 ||
        !is_float_or_double(type(id)))
      return nullptr;
    const Node& node = graph_.nodes[static_cast<size_t>(p)];
    return fused_form(*node.def) && !has_activation(node) ? &node : nullptr;
  }

  void put(size_t n, const Node& linear, Node fused) {
    fused.def = fused_form(*linear.def);
    fused.outputs = graph_.nodes[n].outputs;
    removed_[static_cast<size_t>(producers_[static_cast<size_t>(linear.outputs[0])])] = true;
    graph_.nodes[n] = std::move(fused);
  }

  bool fuse_activation(size_t n) {
    const Node* linear = open_linear(graph_.nodes[n].inputs[0], n);
    if (!linear) return false;
    Node fused = *linear;
    fused.attributes["activation"] = std::string(graph_.nodes[n].def->name);
    put(n, *linear, std::move(fused));
    return true;
  }

  bool fuse_add(size_t n) {
    const Node& add = graph_.nodes[n];
    return fuse_addend(n, add.inputs[0], add.inputs[1]) || fuse_addend(n, add.inputs[1], add.inputs[0]);
  }

  bool fuse_addend(size_t n, ValueId sum, ValueId addend) {
    const Node* linear = open_linear(sum, n);
    if (!linear || !type(sum).dims) return false;
    const std::string_view form = fused_form(*linear->def)->name;
    const NodeContext context(*linear);
    const auto input = form == "FusedConv" ? conv_input_for(context, sum, addend) : row_input_for(context, sum, addend);
    if (!input) return false;
    Node fused = *linear;
    fused.inputs.resize(std::max(fused.inputs.size(), input->first + 1), kNoValue);
    fused.inputs[input->first] = input->second;
    if (input->first == 2) fused.attributes.erase("beta");  // it scaled the C that was not there
    put(n, *linear, std::move(fused));
    return true;
  }

  using InputSlot = std::pair<size_t, ValueId>;

  // Gemm and MatMul take one value a column, if they have no such input yet.
  std::optional<InputSlot> row_input_for(const NodeContext& linear, ValueId sum, ValueId addend) {
    const Dims& dims = *type(sum).dims;
    const Value& row = graph_.value(addend);
    const auto& right = type(linear.node().inputs[1]).dims;
    if (linear.has_input(2) || dims.empty() || !right || right->size() < 2 || !is_row(row, dims.back()) ||
        row.data.shape().rank() > static_cast<int>(dims.size()))
      return std::nullopt;
    return InputSlot{2, flattened(addend)};
  }

  // Conv takes one value a channel as its bias, or else a tensor of the result's own shape as a residual.
  std::optional<InputSlot> conv_input_for(const NodeContext& linear, ValueId sum, ValueId addend) {
    const Dims& dims = *type(sum).dims;
    if (linear.has_input(3)) return std::nullopt;
    if (!linear.has_input(2) && is_channel_bias(graph_.value(addend), dims[1], static_cast<int>(dims.size())))
      return InputSlot{2, flattened(addend)};
    const bool same_shape = type(addend).dims && *type(addend).dims == dims &&
                            std::ranges::all_of(dims, [](const Dim& dim) { return dim.known() || !dim.symbol.empty(); });
    return same_shape && addend != sum ? std::optional(InputSlot{3, addend}) : std::nullopt;
  }

  // A constant as a vector.
  ValueId flattened(ValueId id) {
    const Tensor data = graph_.value(id).data;
    if (data.shape().rank() == 1) return id;
    const ValueId vector = graph_.add_constant(graph_.value(id).name, data.reshaped({data.elements()}));
    return vector;
  }

  Graph& graph_;
  std::vector<int> producers_;  // stay right: a fused node makes the output of the node it replaces
  std::vector<int> uses_;
  std::vector<int> state_changes_;
  std::vector<bool> removed_;
};

int apply(Graph& graph, PassNotes&) { return Fusion(graph).run(); }

}  // namespace

const Pass epilogue_fusion_pass = {"epilogue_fusion",
                                   "add bias and residual and apply the activation inside Gemm, MatMul and Conv", apply};

}  // namespace tandem
