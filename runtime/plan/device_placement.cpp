#include "runtime/plan/device_placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/cpu_types.h"

namespace tandem {
namespace {

constexpr int64_t kMostShapeElements = 1024;  // of an integer tensor that is taken for a shape

bool in_set(uint32_t set, size_t i) { return i < 32 && (set >> i & 1); }
bool is_text(const Value& value) { return value.type.dtype == DType::kString; }

// How the node replaces the state that is its input i; null: it does not.
const Alias* replacing(const Node& node, size_t i) {
  for (const Alias& alias : node.def->aliases)
    if (alias.kind == AliasKind::kMust && alias.input == static_cast<int>(i)) return &alias;
  return nullptr;
}

class Placer {
 public:
  Placer(Graph& graph, const std::vector<bool>& dynamic, bool device_collectives)
      : graph_(graph), dynamic_(dynamic), device_collectives_(device_collectives) {}

  DevicePlacement run() {
    homes_.assign(graph_.values.size(), Space::kHost);
    for (const Node& node : graph_.nodes) place(node);
    settle_states();
    insert_copies();
    order_nodes();
    return std::move(placement_);
  }

 private:
  Space home(ValueId id) const { return homes_[static_cast<size_t>(id)]; }

  // Bound when the run reaches it, which may read all of its inputs.
  bool makes_dynamic(const Node& node) const {
    return std::ranges::any_of(node.outputs, [&](ValueId id) {
      return id != kNoValue && static_cast<size_t>(id) < dynamic_.size() && dynamic_[static_cast<size_t>(id)];
    });
  }

  // A shape, axes and the like: a short vector of integers.
  bool is_shape_like(ValueId id) const {
    const Value& value = graph_.value(id);
    if (!is_integer(value.type.dtype) && value.type.dtype != DType::kBool) return false;
    if (!value.type.dims || value.type.dims->size() > 1) return false;
    return value.type.dims->empty() || !(*value.type.dims)[0].known() || (*value.type.dims)[0].size <= kMostShapeElements;
  }

  // Shapes that the host made, combined into another.
  bool is_shape_arithmetic(const Node& node) const {
    bool from_host = false;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == kNoValue || in_set(node.def->shape_inputs, i)) continue;
      if (!is_shape_like(id) || home(id) == Space::kDevice) return false;
      const ValueKind kind = graph_.value(id).kind;
      if (kind == ValueKind::kInput || kind == ValueKind::kState) return false;
      from_host = from_host || kind == ValueKind::kResult;
    }
    return from_host && std::ranges::all_of(node.outputs, [&](ValueId id) { return id == kNoValue || is_shape_like(id); });
  }

  // Whether a kernel on the GPU reads the content of the value, itself or by a view of it.
  bool is_data_on_device(ValueId id) const {
    return std::ranges::any_of(graph_.nodes, [&](const Node& node) {
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] != id || in_set(node.def->shape_inputs | node.def->host_inputs, i)) continue;
        if (is_view(node) ? is_data_on_device(node.outputs[0]) : node.def->cuda != nullptr) return true;
      }
      return false;
    });
  }

  // A view of what could lie on either side lies where it is wanted.
  Space space_of_view(const Node& node) const {
    const ValueId looked_at = node.inputs[static_cast<size_t>(node.def->aliases[0].input)];
    const ValueKind kind = graph_.value(looked_at).kind;
    if (kind == ValueKind::kResult) return home(looked_at);
    if (kind == ValueKind::kState) return Space::kDevice;
    return !is_text(graph_.value(looked_at)) && is_data_on_device(node.outputs[0]) ? Space::kDevice : Space::kHost;
  }

  static std::string_view reason(const Node& node, bool has_text) {
    if (node.def->cuda == nullptr) return "";
    return has_text ? " on text" : " on this element type";
  }

  void place(const Node& node) {
    Space space = Space::kDevice;
    const auto text = [&](ValueId id) { return id != kNoValue && is_text(graph_.value(id)); };
    const bool is_dynamic = makes_dynamic(node);
    const bool has_text = std::ranges::any_of(node.inputs, text) || std::ranges::any_of(node.outputs, text);
    if (is_dynamic) {
      space = Space::kHost;
      placement_.without_twin.push_back(std::string(node.def->name) + ", of a size that depends on data (node '" + node.name + "')");
    } else if (is_view(node)) {
      space = space_of_view(node);
    } else if (is_shape_arithmetic(node) || only_reads_shapes(node)) {
      space = Space::kHost;
    } else if (node.def->stateful && !device_collectives_) {
      space = Space::kHost;
    } else if (node.def->cuda == nullptr || !gpu_takes(graph_, node)) {
      space = Space::kHost;
      placement_.without_twin.push_back(fmt::format("{}{} (node '{}')", node.def->name, reason(node, has_text), node.name));
    }
    spaces_.push_back(space);
    for (ValueId id : node.outputs)
      if (id != kNoValue) homes_[static_cast<size_t>(id)] = space;
  }

  // Shape and Size: nothing of the tensor is read, so nothing is lost on the host.
  static bool only_reads_shapes(const Node& node) {
    if (node.inputs.empty() || node.def->shape_inputs == 0) return false;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (!in_set(node.def->shape_inputs, i)) return false;
    return true;
  }

  // A state lies where it is replaced; else where it is read on the GPU.
  void settle_states() {
    std::map<ValueId, bool> replaced;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const ValueId id = node.inputs[i];
        if (id == kNoValue || graph_.value(id).kind != ValueKind::kState) continue;
        if (replacing(node, i)) {
          homes_[static_cast<size_t>(id)] = spaces_[n];
          replaced[id] = true;
        } else if (spaces_[n] == Space::kDevice && !replaced[id] && !in_set(node.def->host_inputs, i)) {
          homes_[static_cast<size_t>(id)] = Space::kDevice;
        }
      }
    }
  }

  // The value as it is in `space`: itself, a copy already made, or a copy made now, as the next node.
  ValueId in_space(ValueId id, Space space) {
    if (home(id) == space) return id;
    const auto [known, is_new] = crossed_.try_emplace({id, space}, kNoValue);
    if (!is_new) return known->second;
    const Value value = graph_.value(id);
    const std::string name = value.name + (space == Space::kDevice ? ".on_device" : ".on_host");
    if (value.kind == ValueKind::kConstant) {
      known->second = graph_.add_constant(name, value.data);
    } else {
      const OpDef& def = newest_op(space == Space::kDevice ? "CopyToDevice" : "CopyToHost", "tandem");
      known->second = graph_.add_node(def, {id}, 1, {}, name)[0];
      new_spaces_.push_back(Space::kDevice);  // done in the order of the GPU's work
    }
    homes_.resize(graph_.values.size(), space);
    return known->second;
  }

  // What leaves the graph keeps its name: users ask for it by that.
  void output_on_host(ValueId& id) {
    const ValueId on_host = in_space(id, Space::kHost);
    Value &inside = graph_.value(id), &outside = graph_.value(on_host);
    if (inside.kind == ValueKind::kResult && outside.name == inside.name + ".on_host") {  // an output may be named twice
      outside.name = inside.name;
      inside.name += ".on_device";
    }
    id = on_host;
  }

  void insert_copies() {
    std::vector<Node> old = std::exchange(graph_.nodes, {});
    for (size_t n = 0; n < old.size(); ++n) {
      Node node = std::move(old[n]);
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const ValueId id = node.inputs[i];
        if (id == kNoValue) continue;
        const bool is_axes = is_view(node) && static_cast<int>(i) != node.def->aliases[0].input;  // or a shape: read when planned
        if ((in_set(node.def->shape_inputs, i) || is_axes) && !makes_dynamic(node)) continue;
        node.inputs[i] = in_space(id, in_set(node.def->host_inputs, i) ? Space::kHost : spaces_[n]);
      }
      new_spaces_.push_back(spaces_[n]);
      graph_.nodes.push_back(std::move(node));
    }
    for (ValueId& id : graph_.outputs) output_on_host(id);
    spaces_ = std::move(new_spaces_);
  }

  // Nodes that must run before node n: those that make its inputs, and, if it replaces a state, those that read it as it was.
  std::vector<std::vector<size_t>> dependencies() const {
    std::vector<std::vector<size_t>> before(graph_.nodes.size());
    const std::vector<int> producers = graph_.producers();
    std::map<ValueId, std::vector<size_t>> readers;  // of a state, or of what looks at it
    std::map<ValueId, ValueId> state_behind;
    const auto state_of = [&](ValueId id) {
      if (const auto found = state_behind.find(id); found != state_behind.end()) return found->second;
      return graph_.value(id).kind == ValueKind::kState ? id : kNoValue;
    };
    std::vector<size_t> in_order;  // nodes with effects beyond their outputs keep their order
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const ValueId id = node.inputs[i];
        if (id == kNoValue) continue;
        if (producers[static_cast<size_t>(id)] >= 0) before[n].push_back(static_cast<size_t>(producers[static_cast<size_t>(id)]));
        const ValueId state = state_of(id);
        if (state == kNoValue) continue;
        if (is_view(node)) state_behind[node.outputs[0]] = state;
        if (const Alias* update = replacing(node, i)) {
          before[n].insert(before[n].end(), readers[state].begin(), readers[state].end());
          state_behind[node.outputs[static_cast<size_t>(update->output)]] = state;
        }
        readers[state].push_back(n);
      }
      if (node.def->stateful) {
        if (!in_order.empty()) before[n].push_back(in_order.back());
        in_order.push_back(n);
      }
    }
    return before;
  }

  // Host and device nodes each keep their order; what is ready on one side runs before the other side has its turn, feeds first.
  void order_nodes() {
    const auto before = dependencies();
    std::vector<bool> done(graph_.nodes.size());
    std::vector<size_t> order;
    const auto take = [&](size_t n) {
      done[n] = true;
      order.push_back(n);
    };
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      if (is_feed(graph_, graph_.nodes[n])) take(n);
    std::vector<size_t> queues[2];
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      if (!done[n]) queues[static_cast<size_t>(spaces_[n])].push_back(n);
    size_t heads[2] = {0, 0};
    for (size_t side = 0; order.size() < graph_.nodes.size(); side = 1 - side)
      for (; heads[side] < queues[side].size(); ++heads[side]) {
        const size_t n = queues[side][heads[side]];
        if (!std::ranges::all_of(before[n], [&](size_t b) { return done[b]; })) break;
        take(n);
      }
    std::vector<Node> nodes;
    for (size_t n : order) {
      nodes.push_back(std::move(graph_.nodes[n]));
      placement_.nodes.push_back(spaces_[n]);
    }
    graph_.nodes = std::move(nodes);
    placement_.values = std::move(homes_);
  }

  Graph& graph_;
  const std::vector<bool>& dynamic_;
  bool device_collectives_;
  std::vector<Space> spaces_, new_spaces_;  // of nodes
  std::vector<Space> homes_;                // of values
  std::map<std::pair<ValueId, Space>, ValueId> crossed_;
  DevicePlacement placement_;
};

}  // namespace

DevicePlacement place_on_host(const Graph& graph) {
  return {.nodes = std::vector(graph.nodes.size(), Space::kHost),
          .values = std::vector(graph.values.size(), Space::kHost),
          .without_twin = {}};
}

DevicePlacement place_on_device(Graph& graph, bool device_collectives, const std::vector<bool>& dynamic) {
  return Placer(graph, dynamic, device_collectives).run();
}

bool is_copy_to_device(const Node& node) { return node.def->name == "CopyToDevice" && node.def->domain == "tandem"; }
bool is_copy_to_host(const Node& node) { return node.def->name == "CopyToHost" && node.def->domain == "tandem"; }
bool is_feed(const Graph& graph, const Node& node) {
  return is_copy_to_device(node) && graph.value(node.inputs[0]).kind == ValueKind::kInput;
}
bool is_view(const Node& node) {
  return node.def->cpu == nullptr && !node.def->aliases.empty() && node.def->aliases[0].kind == AliasKind::kView;
}

}  // namespace tandem
