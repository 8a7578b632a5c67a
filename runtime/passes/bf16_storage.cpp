// Products in bf16 with f32 sums, and bf16 for what passes between them, in plans for the CPU that ask for it
// (PlanOptions::precision):
//
//   %y = Relu(MatMul(%x, %w))   ->   %x.bf16 = Cast(%x) {to=bf16}   %y = tandem.Bf16MatMul(%x.bf16, %w) {activation=Relu}      y
//   in bf16
//
// Products by constant weights, attention, layer normalizations, and convolutions and pools with channels last have a form on
// bf16. What such a form reads is stored in bf16, whoever makes it: another such form rounds its f32 sums, an elementwise node
// computes in f32 and is followed by a Cast, which becomes a part of its region; ops that only move elements move them in bf16.
// Means over the pixels of an image read it as it is stored. Scores and softmax of attention, statistics, weights of normalizations and biases stay f32, and so does everything else:
// Softmax, reductions, losses, products of two activations, and inputs and outputs of the graph. Graphs with states (training)
// are left alone: bf16_products.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/elementwise_nodes.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

// The form of an op on bf16, and which of its inputs are then bf16.
struct Form {
  std::string_view name;
  uint32_t short_inputs;
};

bool is_op(const Node& node, std::string_view name, std::string_view domain) {
  return node.def->name == name && node.def->domain == domain;
}
bool is_gemm(const Node& node) { return is_op(node, "Gemm", "") || is_op(node, "FusedGemm", "tandem"); }
bool is_matmul(const Node& node) {
  return is_op(node, "MatMul", "") || is_op(node, "MatMul", "tandem") || is_op(node, "FusedMatMul", "tandem");
}
bool has_input(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != kNoValue; }

class Lowering {
 public:
  explicit Lowering(Graph& graph) : graph_(graph), readers_(graph.consumers()), wanted_(graph.values.size()) {
    is_output_.resize(graph.values.size());
    for (ValueId id : graph.outputs) is_output_[static_cast<size_t>(id)] = true;
  }

  int run() {
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) want_inputs(*node);
    std::vector<Node> old = std::exchange(graph_.nodes, {});
    std::vector<std::optional<Form>> forms;
    for (const Node& node : old) forms.push_back(form_of(node));
    find_results_to_store(old, forms);
    for (size_t n = 0; n < old.size(); ++n) {
      if (forms[n])
        write_form(std::move(old[n]), *forms[n]);
      else if (moves_bf16(old[n]))
        move(std::move(old[n]));
      else
        write(std::move(old[n]));
    }
    return changes_;
  }

 private:
  const Value& value(ValueId id) const { return graph_.value(id); }
  bool is_f32(ValueId id) const {
    return id != kNoValue && value(id).type.dtype == DType::kF32 && value(id).type.container == Container::kTensor;
  }
  bool wanted(ValueId id) const {
    return id != kNoValue && static_cast<size_t>(id) < wanted_.size() && wanted_[static_cast<size_t>(id)];
  }
  bool is_output(ValueId id) const { return static_cast<size_t>(id) < is_output_.size() && is_output_[static_cast<size_t>(id)]; }
  bool is_constant(ValueId id) const { return value(id).kind == ValueKind::kConstant; }

  std::optional<Form> form_of(const Node& node) const {
    if (node.inputs.empty() || node.outputs.empty() || !is_f32(node.inputs[0]) || !is_f32(node.outputs[0])) return std::nullopt;
    if (is_matmul(node) || is_gemm(node))
      return is_plain_product(node) ? std::optional(Form{"Bf16MatMul", input_set(0, 3)}) : std::nullopt;
    if (is_op(node, "FusedAttention", "tandem"))
      return is_long_attention(node) ? std::optional(Form{"Bf16Attention", input_set(0, 1, 2)}) : std::nullopt;
    if (is_op(node, "ChannelsLastConv", "tandem"))
      return is_in_plane(node) ? std::optional(Form{"Bf16ChannelsLastConv", input_set(0, 3)}) : std::nullopt;
    if (is_op(node, "ChannelsLastMaxPool", "tandem")) return Form{"Bf16ChannelsLastMaxPool", input_set(0)};
    if (is_op(node, "ChannelsLastAveragePool", "tandem")) return Form{"Bf16ChannelsLastAveragePool", input_set(0)};
    const bool alone = node.outputs.size() == 1 && !is_constant(node.inputs[0]);
    if (is_op(node, "LayerNormalization", "") && alone) return Form{"Bf16LayerNormalization", input_set(0)};
    if (is_op(node, "RMSNormalization", "") && alone) return Form{"Bf16RMSNormalization", input_set(0)};
    return std::nullopt;
  }

  // By a constant matrix, with one bias a column.
  bool is_plain_product(const Node& node) const {
    const NodeContext context(node);
    const auto rank = [&](ValueId id) { return value(id).type.dims ? value(id).type.dims->size() : 0; };
    if (is_constant(node.inputs[0]) || !is_constant(node.inputs[1]) || rank(node.inputs[1]) != 2 || rank(node.inputs[0]) == 0)
      return false;
    if (context.get_int("transA", 0) != 0 || context.get_float("alpha", 1) != 1) return false;
    if (!has_input(node, 2)) return true;
    const Dim& columns = (*value(node.inputs[1]).type.dims)[context.get_int("transB", 0) != 0 ? 0 : 1];
    return context.get_float("beta", 1) == 1 && rank(node.inputs[2]) == 1 && (*value(node.inputs[2]).type.dims)[0] == columns;
  }

  // Depthwise convolutions in space, and of tall kernels, have no kernel.
  bool is_in_plane(const Node& node) const {
    const auto &x = value(node.inputs[0]).type.dims, &w = value(node.inputs[1]).type.dims;
    constexpr int64_t kTall = 16;
    if (!x || !w || is_constant(node.inputs[0])) return false;
    return NodeContext(node).get_int("group", 1) == 1 || (x->size() <= 4 && (w->size() < 4 || (*w)[2].size < kTall));
  }

  // Keys are packed before they are read: that pays for several queries.
  bool is_long_attention(const Node& node) const {
    const auto& q = value(node.inputs[0]).type.dims;
    if (!q || is_constant(node.inputs[0])) return false;
    const std::vector<int64_t> perm = NodeContext(node).get_ints("q_perm");
    const size_t rows = q->size() - 2;
    const Dim& queries = (*q)[perm.empty() ? rows : static_cast<size_t>(perm[rows])];
    constexpr int64_t kFewQueries = 8;
    return !queries.known() || queries.size >= kFewQueries;
  }

  // Ops whose first input's elements are those of their results, whatever the type.
  bool only_moves(const Node& node) const {
    constexpr auto kMovers = std::to_array<std::string_view>(
        {"Concat", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"});
    return node.def->domain.empty() && std::ranges::find(kMovers, node.def->name) != kMovers.end() && is_f32(node.inputs[0]);
  }
  bool reads_shape(const Node& node) const { return is_op(node, "Shape", "") || is_op(node, "Size", ""); }
  bool is_joined(const Node& node) const { return node.def->name == "Concat"; }

  void want_inputs(const Node& node) {
    if (const auto form = form_of(node)) {
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (form->short_inputs >> i & 1 && has_input(node, i)) wanted_[static_cast<size_t>(node.inputs[i])] = true;
    } else if (only_moves(node) && std::ranges::any_of(node.outputs, [&](ValueId id) { return wanted(id); })) {
      for (size_t i = 0; i < (is_joined(node) ? node.inputs.size() : 1); ++i) wanted_[static_cast<size_t>(node.inputs[i])] = true;
    }
  }

  // Results of forms are stored in bf16 unless only ops that read f32 would widen them again, each in a pass of its own.
  void find_results_to_store(const std::vector<Node>& nodes, const std::vector<std::optional<Form>>& forms) {
    for (size_t n = 0; n < nodes.size(); ++n) {
      if (!forms[n]) continue;
      const ValueId id = nodes[n].outputs[0];
      const bool read_in_tiles = std::ranges::any_of(readers_[static_cast<size_t>(id)], [&](int r) {
        const Node& reader = nodes[static_cast<size_t>(r)];
        return forms[static_cast<size_t>(r)] || is_elementwise(*reader.def) || only_moves(reader);
      });
      if (read_in_tiles) wanted_[static_cast<size_t>(id)] = true;
    }
  }

  // `id` in another type: a cast that is there, or a new one as the next node. Elementwise nodes have casts of their own, which
  // become parts of their regions: one that is read elsewhere too would be written to memory for all.
  ValueId cast(ValueId id, DType to, bool for_elementwise = false) {
    if (value(id).type.dtype == to) return id;
    const auto [known, is_new] = casts_.try_emplace({id, to, for_elementwise}, kNoValue);
    if (!is_new) return known->second;
    const std::string name = value(id).name + "." + std::string(tandem::name(to)) + (for_elementwise ? ".part" : "");
    const ValueId made = graph_.add_node(newest_op("Cast"), {id}, 1, {{"to", static_cast<int64_t>(to)}}, name)[0];
    return casts_[{id, to, for_elementwise}] = made;
  }
  // What stands for `id` by now.
  ValueId stored(ValueId id) const {
    const auto found = stored_.find(id);
    return found == stored_.end() ? id : found->second;
  }
  ValueId read_as(ValueId id, DType to) { return cast(stored(id), to); }

  void append(Node node) {
    infer_types(graph_, node);
    graph_.nodes.push_back(std::move(node));
  }

  void write_form(Node node, const Form& form) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!has_input(node, i) || (value(node.inputs[i]).type.dtype != DType::kF32 && !stored_.contains(node.inputs[i]))) continue;
      node.inputs[i] = form.short_inputs >> i & 1 ? read_as(node.inputs[i], DType::kBF16) : read_as(node.inputs[i], DType::kF32);
    }
    for (const std::string_view attribute : {"alpha", "beta", "stash_type", "transA"})
      if (const auto found = node.attributes.find(attribute); found != node.attributes.end()) node.attributes.erase(found);
    node.def = &newest_op(form.name, "tandem");
    const ValueId y = node.outputs[0];
    const bool has_choice = std::ranges::find(node.def->attributes, "to") != node.def->attributes.end();
    const bool in_f32 = is_output(y) || !wanted(y);
    if (has_choice && in_f32) node.attributes["to"] = static_cast<int64_t>(DType::kF32);
    ++changes_;
    if (has_choice && in_f32) return append(std::move(node));
    store(std::move(node), 0);
  }

  // A node that now gives bf16: under a new name, so that `y` stays the f32 value where it is an output of the graph.
  void store(Node node, size_t output) {
    const ValueId y = node.outputs[output];
    const ValueId made = graph_.add_result(value(y).name + ".bf16");
    node.outputs[output] = made;
    append(std::move(node));
    stored_[y] = made;
    if (is_output(y)) widen_into(made, y);
  }
  void widen_into(ValueId from, ValueId to) {
    append({&newest_op("Cast"), value(to).name + ".f32", {from}, {to}, {{"to", static_cast<int64_t>(DType::kF32)}}});
  }

  bool moves_bf16(const Node& node) const {
    if (!only_moves(node)) return false;
    if (!is_joined(node)) return stored_.contains(node.inputs[0]);
    return std::ranges::all_of(node.inputs, [&](ValueId id) { return stored_.contains(id); }) || wanted(node.outputs[0]);
  }

  void move(Node node) {
    for (size_t i = 0; i < (is_joined(node) ? node.inputs.size() : 1); ++i)
      node.inputs[i] = read_as(node.inputs[i], DType::kBF16);
    std::vector<std::pair<ValueId, ValueId>> made;
    for (ValueId& id : node.outputs) {
      if (id == kNoValue) continue;
      const ValueId in_bf16 = graph_.add_result(value(id).name + ".bf16");
      made.emplace_back(std::exchange(id, in_bf16), in_bf16);
    }
    append(std::move(node));
    for (const auto& [wide, in_bf16] : made) {
      stored_[wide] = in_bf16;
      if (is_output(wide)) widen_into(in_bf16, wide);
    }
  }

  // Means over all axes but the first and the last.
  bool is_spatial_mean(const Node& node) const {
    const auto& dims = value(node.inputs[0]).type.dims;
    if (!is_op(node, "ReduceMean", "") || NodeContext(node).get_int("keepdims", 1) == 0 || !dims || dims->size() < 3) return false;
    std::vector<int64_t> axes = NodeContext(node).get_ints("axes");
    if (has_input(node, 1)) {
      if (!is_constant(node.inputs[1])) return false;
      const auto known = value(node.inputs[1]).data.as<int64_t>();
      axes.assign(known.begin(), known.end());
    }
    const auto rank = static_cast<int64_t>(dims->size());
    std::set<int64_t> reduced;
    for (int64_t axis : axes) reduced.insert(axis < 0 ? axis + rank : axis);
    return static_cast<int64_t>(reduced.size()) == rank - 2 && *reduced.begin() == 1 && *reduced.rbegin() == rank - 2;
  }

  // A node on f32. What a form reads of it is rounded at once, and read so by all.
  void write(Node node) {
    if (!node.inputs.empty() && node.inputs[0] != kNoValue && stored_.contains(node.inputs[0]) && is_spatial_mean(node)) {
      ++changes_;
      return append({&newest_op("Bf16GlobalAverage", "tandem"), node.name, {stored(node.inputs[0])}, node.outputs, {}});
    }
    const bool elementwise = is_elementwise(*node.def);
    for (ValueId& id : node.inputs)
      if (id != kNoValue && stored_.contains(id)) id = reads_shape(node) ? stored(id) : cast(stored(id), DType::kF32, elementwise);
    const std::vector<ValueId> results = node.outputs;
    append(std::move(node));
    if (!elementwise || is_output(results[0]) || !is_f32(results[0]) || !wanted(results[0])) return;
    stored_[results[0]] = cast(results[0], DType::kBF16);
  }

  Graph& graph_;
  std::vector<std::vector<int>> readers_;
  std::vector<bool> wanted_, is_output_;  // by ValueId, of those that were there: wanted in bf16
  std::map<ValueId, ValueId> stored_;     // a value that is stored in bf16, and that
  std::map<std::tuple<ValueId, DType, bool>, ValueId> casts_;
  int changes_ = 0;
};

int apply(Graph& graph, PassNotes&) {
  if (std::ranges::any_of(graph.values, [](const Value& value) { return value.kind == ValueKind::kState; })) return 0;
  const int changes = Lowering(graph).run();
  drop_unused_values(graph);
  return changes;
}

}  // namespace

const Pass bf16_storage_pass = {"bf16_storage", "products in bf16 and what passes between them stored so, for --precision bf16",
                                apply};

}  // namespace tandem
