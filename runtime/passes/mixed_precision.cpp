#include "runtime/passes/mixed_precision.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

constexpr auto kProducts = std::to_array<std::string_view>({"Conv", "FusedConv", "FusedGemm", "FusedMatMul", "Gemm", "MatMul"});
constexpr auto kFollowers = std::to_array<std::string_view>(
    {"Add",       "AveragePool", "Clip",          "Concat", "Dropout", "Elu",     "Expand", "Flatten",       "Gelu",    "GlobalAveragePool",
     "GlobalMaxPool", "Identity", "LeakyRelu",     "Max",    "MaxPool", "Min",     "Mul",    "Pad",           "RandomDropout", "Relu",
     "Reshape",   "Sigmoid",     "Slice",         "Split",  "Squeeze", "Sub",     "Tanh",   "Tile",          "Transpose", "Unsqueeze",
     "Where"});

bool is_one_of(const Node& node, const auto& names) { return std::ranges::find(names, node.def->name) != names.end(); }

class Lowering {
 public:
  Lowering(Graph& graph, DType half) : graph_(graph), half_(half) {}

  int run() {
    for (ValueId id : graph_.outputs)
      if (dtype(id) == half_) was_half_.insert(id);
    std::vector<Node> old = std::exchange(graph_.nodes, {});
    for (Node& node : old) rewrite(std::move(node));
    for (ValueId& id : graph_.outputs) id = output_in_f32(id);
    return lowered_;
  }

 private:
  DType dtype(ValueId id) const { return id == kNoValue ? DType::kUndefined : graph_.value(id).type.dtype; }

  bool runs_in_half(const Node& node) const {
    if (is_one_of(node, kProducts)) return std::ranges::any_of(node.inputs, [&](ValueId id) { return dtype(id) == DType::kF32 || dtype(id) == half_; });
    return is_one_of(node, kFollowers) && std::ranges::any_of(node.inputs, [&](ValueId id) { return dtype(id) == half_; });
  }

  // `id` in another type: a cast already there, or a new one as the next node.
  ValueId cast(ValueId id, DType to) {
    const auto [known, is_new] = casts_.try_emplace({id, to}, kNoValue);
    if (!is_new) return known->second;
    const std::string name = graph_.value(id).name + "." + std::string(tandem::name(to));
    known->second = graph_.add_node(newest_op("Cast"), {id}, 1, {{"to", static_cast<int64_t>(to)}}, name)[0];
    const ValueId made = known->second;
    if (to == DType::kF32) casts_.try_emplace({made, half_}, id);  // and back again loses nothing
    return made;
  }

  void rewrite(Node node) {
    const bool in_half = runs_in_half(node);
    const DType from = in_half ? DType::kF32 : half_, to = in_half ? half_ : DType::kF32;
    const bool first_only = node.def->name == "Dropout";  // its ratio is f32 in any case
    const bool keeps_types = node.def->name == "Cast" && node.def->domain.empty();
    for (size_t i = 0; i < node.inputs.size() && !keeps_types; ++i)
      if (dtype(node.inputs[i]) == from && !(first_only && i > 0)) node.inputs[i] = cast(node.inputs[i], to);
    lowered_ += in_half;
    infer_types(graph_, node);
    graph_.nodes.push_back(std::move(node));
  }

  // The output keeps name and type: what made it is renamed.
  ValueId output_in_f32(ValueId id) {
    if (dtype(id) != half_ || was_half_.contains(id)) return id;
    const std::string name = graph_.value(id).name;
    graph_.value(id).name = graph_.unique_name(name + "." + std::string(tandem::name(half_)));
    const ValueId wide = cast(id, DType::kF32);
    graph_.value(wide).name = name;
    return wide;
  }

  Graph& graph_;
  DType half_;
  int lowered_ = 0;
  std::map<std::pair<ValueId, DType>, ValueId> casts_;
  std::set<ValueId> was_half_;  // graph outputs that were of this type before
};

}  // namespace

int lower_precision(Graph& graph, DType half) {
  require(half == DType::kF16 || half == DType::kBF16, "precision is lowered to f16 or bf16", name(half));
  return Lowering(graph, half).run();
}

}  // namespace tandem
