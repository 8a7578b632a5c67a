#include "runtime/onnx/moved_operands.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "runtime/onnx/younger_words.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

constexpr std::string_view kOnlyMoreWords[] = {"Attention", "ScatterElements", "ScatterND"};  // what is new in them is not used by old nodes

class Mover {
 public:
  Mover(Graph& graph, Node& node, const OpDef& wanted, int opset) : graph_(graph), node_(node), wanted_(wanted), opset_(opset) {}

  // Returns whether the node could be changed. Nodes that it needs are put behind those of the graph.
  bool move() {
    const std::string_view op = wanted_.name;
    if (op.starts_with("Reduce")) return move_axes();
    if (op == "Split") return move_split();
    if (op == "GridSample") return rename_mode();
    if (op == "DFT") return move_axis();
    return std::ranges::find(kOnlyMoreWords, op) != std::end(kOnlyMoreWords) && drop_if("reduction", "none");
  }

 private:
  bool knows(std::string_view attribute) const { return std::ranges::find(wanted_.attributes, attribute) != wanted_.attributes.end(); }
  bool has_list() const { return node_.inputs.size() > 1 && node_.inputs[1] != kNoValue; }

  // An attribute the wanted version lacks, which says what goes without saying there. False if it says something else.
  template <class T>
  bool drop_if(const std::string& name, T neutral) {
    const auto found = node_.attributes.find(name);
    if (found == node_.attributes.end() || knows(name)) return true;
    const bool says_nothing = [&] {
      if constexpr (std::is_same_v<T, int>) return std::get<int64_t>(found->second) == neutral;
      else return std::get<std::string>(found->second) == neutral;
    }();
    if (says_nothing) node_.attributes.erase(found);
    return says_nothing;
  }

  bool move_axes() {
    if (!move_list("axes")) return false;
    if (node_.attributes.contains("axes")) node_.attributes.erase("noop_with_empty_axes");
    return drop_if("noop_with_empty_axes", 0);
  }

  // A list of numbers that is an attribute in some versions and the second input in others.
  bool move_list(const std::string& name) {
    if (const auto found = node_.attributes.find(name); found != node_.attributes.end() && !knows(name)) {
      set_list(name, std::get<std::vector<int64_t>>(found->second));
      node_.attributes.erase(name);
    } else if (has_list() && wanted_.max_inputs == 1) {
      const Tensor& list = graph_.value(node_.inputs[1]).data;
      if (graph_.value(node_.inputs[1]).kind != ValueKind::kConstant || !list || list.elements() == 0) return false;
      const auto numbers = list.as<int64_t>();
      node_.attributes[name] = std::vector<int64_t>(numbers.begin(), numbers.end());
    }
    if (static_cast<int>(node_.inputs.size()) > wanted_.max_inputs) node_.inputs.resize(static_cast<size_t>(wanted_.max_inputs));
    return true;
  }
  void set_list(const std::string& name, const std::vector<int64_t>& numbers) {
    node_.inputs.resize(2, kNoValue);
    node_.inputs[1] = graph_.add_constant(node_.name + "." + name, Tensor::of<int64_t>({static_cast<int64_t>(numbers.size())}, numbers));
  }

  // Sizes, or so many parts; before 18 all parts are equal if nothing is said.
  bool move_split() {
    if (node_.attributes.erase("num_outputs") > 0 && !knows("num_outputs")) {
      if (const std::optional<std::vector<int64_t>> lengths = part_lengths()) set_list("split", *lengths);
      else if (wanted_.max_inputs > 1) compute_lengths();
      else return false;
    }
    if (!move_list("split")) return false;
    if (knows("num_outputs") && !has_list()) node_.attributes["num_outputs"] = static_cast<int64_t>(node_.outputs.size());
    return true;
  }
  int64_t axis() const {
    const auto given = node_.attributes.find("axis");
    return given == node_.attributes.end() ? 0 : std::get<int64_t>(given->second);
  }
  std::optional<std::vector<int64_t>> part_lengths() const {
    const int64_t named = axis();
    std::vector<int64_t> lengths;
    for (ValueId part : node_.outputs) {
      const std::optional<Dims>& dims = graph_.value(part).type.dims;
      if (!dims) return std::nullopt;
      const Dim& length = (*dims)[static_cast<size_t>(named < 0 ? named + static_cast<int64_t>(dims->size()) : named)];
      if (!length.known()) return std::nullopt;
      lengths.push_back(length.size);
    }
    return lengths;
  }

  // Of sizes that only the run knows: all parts but the last are of the quotient rounded up.
  void compute_lengths() {
    const auto parts = static_cast<int64_t>(node_.outputs.size());
    const auto number = [&](int64_t n) { return graph_.add_constant(node_.name + ".number", Tensor::of<int64_t>({1}, {n})); };
    const ValueId length = emit("Gather", {emit("Shape", {node_.inputs[0]}), number(axis())});
    const ValueId each = emit("Div", {emit("Add", {length, number(parts - 1)}), number(parts)});
    std::vector<ValueId> lengths(static_cast<size_t>(parts), each);
    lengths.back() = emit("Sub", {length, emit("Mul", {each, number(parts - 1)})});
    node_.inputs.resize(2, kNoValue);
    node_.inputs[1] = emit("Concat", std::move(lengths), {{"axis", int64_t{0}}});
  }
  ValueId emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return graph_.add_node(find_op("", op, opset_), std::move(inputs), 1, std::move(attributes), node_.name + "." + std::string(op))[0];
  }

  // An attribute, 1 if it is not said, until 20; then the third input, -2 if it is not there.
  bool move_axis() {
    if (!knows("axis")) {
      const auto found = node_.attributes.find("axis");
      const int64_t axis = found == node_.attributes.end() ? 1 : std::get<int64_t>(found->second);
      node_.attributes.erase("axis");
      node_.inputs.resize(3, kNoValue);
      node_.inputs[2] = graph_.add_constant(node_.name + ".axis", Tensor::scalar(axis));
      return true;
    }
    int64_t axis = -2;
    if (node_.inputs.size() > 2 && node_.inputs[2] != kNoValue) {
      const Value& given = graph_.value(node_.inputs[2]);
      if (given.kind != ValueKind::kConstant || given.data.elements() != 1) return false;
      axis = given.data.as<int64_t>()[0];
    }
    const std::optional<Dims>& dims = graph_.value(node_.inputs[0]).type.dims;
    if (axis < 0 && !dims) return false;  // before 20 it counts from the front
    node_.attributes["axis"] = axis < 0 ? axis + static_cast<int64_t>(dims->size()) : axis;
    node_.inputs.resize(std::min<size_t>(node_.inputs.size(), 2));
    return true;
  }

  // "bilinear" and "bicubic" until 20, where volumes came.
  bool rename_mode() {
    constexpr std::pair<std::string_view, std::string_view> kNames[] = {{"bilinear", "linear"}, {"bicubic", "cubic"}};
    const bool older = wanted_.since < 20;
    const std::optional<Dims>& dims = graph_.value(node_.inputs[0]).type.dims;
    if (older && (!dims || dims->size() != 4)) return false;
    const auto found = node_.attributes.find("mode");
    if (found == node_.attributes.end()) return true;
    for (const auto& [before, after] : kNames)
      if (auto& mode = std::get<std::string>(found->second); mode == (older ? after : before)) mode = older ? before : after;
    return true;
  }

  Graph& graph_;
  Node& node_;
  const OpDef& wanted_;
  int opset_;
};

// The definition in force at `opset`, or null.
const OpDef* definition_at(std::string_view op, int opset) {
  for (const OpDef* def : all_ops())
    if (def->domain.empty() && def->name == op && def->since <= opset && opset < def->until) return def;
  return nullptr;
}

bool fits(const Node& node, const OpDef& def) {
  const auto known = [&](const auto& attribute) { return std::ranges::find(def.attributes, attribute.first) != def.attributes.end(); };
  return static_cast<int>(node.inputs.size()) <= def.max_inputs && static_cast<int>(node.outputs.size()) <= def.max_outputs &&
         std::ranges::all_of(node.attributes, known);
}

}  // namespace

Graph with_moved_operands(const Graph& graph, int opset) {
  Graph moved = graph;
  moved.nodes.clear();
  for (Node node : graph.nodes) {
    for (auto& [name, attribute] : node.attributes)
      if (auto* body = std::get_if<Subgraph>(&attribute)) *body = std::make_shared<const Graph>(with_moved_operands(**body, opset));
    const OpDef* wanted = node.def->domain.empty() ? definition_at(node.def->name, opset) : nullptr;
    if (wanted && (opset < node.def->since || node.def->until <= opset)) {
      Node other = node;
      if (Mover(moved, other, *wanted, opset).move() && fits(other, *wanted)) {
        other.def = wanted;
        node = std::move(other);
      }
    }
    drop_younger_words(node, opset);
    moved.nodes.push_back(std::move(node));
  }
  return moved;
}

}  // namespace tandem
