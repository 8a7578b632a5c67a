#include "runtime/passes/half_widening.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/cpu_types.h"

namespace tandem {
namespace {

constexpr auto kExact = std::to_array<std::string_view>({"Abs", "Ceil", "Clip", "Floor", "GlobalMaxPool", "Max", "MaxPool", "Min",
                                                         "Neg", "ReduceMax", "ReduceMin", "Relu", "Round", "Sign"});
// Attributes that name the element type of an output.
constexpr auto kTypeAttributes = std::to_array<std::string_view>({"dtype", "output_datatype", "output_dtype", "stash_type"});

Tensor in_f32(const Tensor& half) {
  Tensor wide(DType::kF32, half.shape());
  const auto convert = [&]<class T>() {
    std::ranges::transform(half.as<T>(), wide.as<float>().begin(), [](T x) { return to_float(x); });
  };
  half.dtype() == DType::kF16 ? convert.operator()<F16>() : convert.operator()<BF16>();
  return wide;
}

class Widening {
 public:
  explicit Widening(Graph& graph) : graph_(graph), cast_(newest_op("Cast")) {}

  std::vector<int> run(const std::vector<bool>& on_cpu) {
    std::vector<Node> old = std::exchange(graph_.nodes, {});
    for (size_t n = 0; n < old.size(); ++n) {
      if (on_cpu[n] && !cpu_computes(graph_, old[n]) && !replaces_half_state(old[n])) {
        rewrite(std::move(old[n]), static_cast<int>(n));
      } else {
        if (widens(old[n])) widened_.try_emplace(old[n].inputs[0], old[n].outputs[0]);
        append(std::move(old[n]), static_cast<int>(n));
      }
    }
    drop_unread_casts();
    return std::move(origins_);
  }

 private:
  DType dtype(ValueId id) const { return graph_.value(id).type.dtype; }
  void append(Node node, int origin) {
    graph_.nodes.push_back(std::move(node));
    origins_.push_back(origin);
  }

  bool widens(const Node& node) const {
    return node.def == &cast_ && is_half(dtype(node.inputs[0])) && dtype(node.outputs[0]) == DType::kF32;
  }
  bool replaces_half_state(const Node& node) const {
    return std::ranges::any_of(node.def->aliases, [&](const Alias& alias) {
      const ValueId id = alias.kind == AliasKind::kMust ? node.inputs[static_cast<size_t>(alias.input)] : kNoValue;
      return id != kNoValue && is_half(dtype(id));
    });
  }

  void add_cast(ValueId from, ValueId to) {
    append({&cast_, graph_.value(to).name + ".cast", {from}, {to}, {{"to", static_cast<int64_t>(dtype(to))}}}, -1);
  }
  // A value of the shape of `like` in f32.
  ValueId wide_result(ValueId like) {
    Value wide = {graph_.unique_name(graph_.value(like).name + ".f32"),
                  {DType::kF32, graph_.value(like).type.dims},
                  ValueKind::kResult,
                  {}};
    graph_.values.push_back(std::move(wide));
    return static_cast<ValueId>(graph_.values.size() - 1);
  }
  ValueId widened(ValueId id) {
    const auto [known, is_new] = widened_.try_emplace(id, kNoValue);
    if (!is_new) return known->second;
    if (graph_.value(id).kind == ValueKind::kConstant)
      return known->second = graph_.add_constant(graph_.value(id).name + ".f32", in_f32(graph_.value(id).data));
    known->second = wide_result(id);
    add_cast(id, known->second);
    return known->second;
  }

  static bool is_exact(const Node& node) {
    const bool clips_by_attribute = node.def->name == "Clip" && !node.attributes.empty();  // bounds in f32
    return node.def->domain.empty() && std::ranges::find(kExact, node.def->name) != kExact.end() && !clips_by_attribute;
  }

  void rewrite(Node node, int origin) {
    for (ValueId& id : node.inputs)  // also one of which only the shape counts: ops ask for inputs of one type
      if (id != kNoValue && is_half(dtype(id))) id = widened(id);
    for (std::string_view name : kTypeAttributes)
      if (const auto found = node.attributes.find(name); found != node.attributes.end())
        if (int64_t* type = std::get_if<int64_t>(&found->second); type && is_half(static_cast<DType>(*type)))
          *type = static_cast<int64_t>(DType::kF32);
    std::vector<std::pair<ValueId, ValueId>> narrowed;  // declared output, what the node gives now
    for (ValueId& id : node.outputs) {
      if (id == kNoValue || !is_half(dtype(id))) continue;
      const ValueId wide = wide_result(id);
      narrowed.emplace_back(std::exchange(id, wide), wide);
    }
    const bool exact = is_exact(node);
    append(std::move(node), origin);
    for (const auto& [half, wide] : narrowed) {
      if (exact) widened_[half] = wide;
      add_cast(wide, half);
    }
  }

  // Casts that this pass added for nobody.
  void drop_unread_casts() {
    const std::vector<int> uses = count_uses(graph_);
    std::vector<bool> unread(graph_.nodes.size());
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      unread[n] = origins_[n] < 0 && uses[static_cast<size_t>(graph_.nodes[n].outputs[0])] == 0;
    erase_nodes(graph_, unread);
    size_t n = 0;
    std::erase_if(origins_, [&](int) { return unread[n++]; });
  }

  Graph& graph_;
  const OpDef& cast_;
  std::vector<int> origins_;
  std::map<ValueId, ValueId> widened_;  // 16-bit value -> the same in f32
};

}  // namespace

std::vector<int> widen_halves(Graph& graph, const std::vector<bool>& on_cpu) { return Widening(graph).run(on_cpu); }

}  // namespace tandem
