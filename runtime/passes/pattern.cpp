#include "runtime/passes/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/half.h"
#include "runtime/graph/constant_integers.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"

namespace tandem {
namespace {

constexpr size_t kMostInner = 64;
constexpr size_t kMostFactors = 4;

// Exporters write 0.79788 for sqrt(2 / pi), and 16 bits hold less.
double tolerance(DType dtype) { return dtype == DType::kF16 ? 1e-3 : dtype == DType::kBF16 ? 8e-3 : 2e-5; }

}  // namespace

bool is_close(double is, double wanted, DType dtype) { return std::abs(is - wanted) <= tolerance(dtype) * std::abs(wanted); }

PatternGraph::PatternGraph(Graph& graph)
    : graph_(graph),
      makers_(graph.producers()),
      uses_(count_uses(graph)),
      state_changes_(count_state_changes(graph)),
      removed_(graph.nodes.size()) {}

bool PatternGraph::is(const Node& node, std::string_view op, std::string_view domain) {
  return node.def->name == op && node.def->domain == domain;
}

const Node* PatternGraph::maker(ValueId id) const {
  const int n = maker_index(id);
  return n < 0 ? nullptr : &graph_.nodes[static_cast<size_t>(n)];
}

const Node* PatternGraph::maker(ValueId id, std::string_view op, std::string_view domain) const {
  const Node* node = maker(id);
  return node && is(*node, op, domain) ? node : nullptr;
}

std::optional<double> PatternGraph::number(ValueId id) const {
  if (id == kNoValue || graph_.value(id).kind != ValueKind::kConstant || graph_.value(id).data.elements() != 1) return std::nullopt;
  const Tensor& data = graph_.value(id).data;
  switch (data.dtype()) {
    case DType::kF32: return static_cast<double>(data.as<float>()[0]);
    case DType::kF64: return data.as<double>()[0];
    case DType::kF16: return static_cast<double>(to_float(data.as<F16>()[0]));
    case DType::kBF16: return static_cast<double>(to_float(data.as<BF16>()[0]));
    case DType::kI64: return static_cast<double>(data.as<int64_t>()[0]);
    case DType::kI32: return static_cast<double>(data.as<int32_t>()[0]);
    default: return std::nullopt;
  }
}

bool PatternGraph::is_number(ValueId id, double wanted) const {
  const auto is = number(id);
  return is && is_close(*is, wanted, type(id).dtype);
}

std::optional<std::vector<int64_t>> PatternGraph::integers(ValueId id) const {
  return constant_integers(graph_, id);
}

bool PatternGraph::same_shape(ValueId a, ValueId b) const {
  const auto &one = type(a).dims, &two = type(b).dims;
  return a == b || (one && two && *one == *two &&
                    std::ranges::all_of(*one, [](const Dim& dim) { return dim.known() || !dim.symbol.empty(); }));
}

std::optional<ValueId> PatternGraph::other_input(const Node& node, ValueId one) const {
  if (node.inputs.size() != 2) return std::nullopt;
  if (node.inputs[0] == one) return node.inputs[1];
  return node.inputs[1] == one ? std::optional(node.inputs[0]) : std::nullopt;
}

std::optional<ValueId> PatternGraph::plus(ValueId id, double wanted) const {
  const Node* add = maker(id, "Add");
  if (!add) return std::nullopt;
  if (is_number(add->inputs[1], wanted)) return add->inputs[0];
  return is_number(add->inputs[0], wanted) ? std::optional(add->inputs[1]) : std::nullopt;
}

std::optional<Scaled> PatternGraph::times_number(ValueId id) const {
  const Node* node = maker(id);
  if (!node || node->inputs.size() != 2) return std::nullopt;
  const bool is_mul = is(*node, "Mul"), is_div = is(*node, "Div");
  if (!is_mul && !is_div) return std::nullopt;
  if (const auto right = number(node->inputs[1]); right && (is_mul || *right != 0))
    return Scaled{node->inputs[0], is_mul ? *right : 1 / *right};
  if (const auto left = number(node->inputs[0]); left && is_mul) return Scaled{node->inputs[1], *left};
  return std::nullopt;
}

Product PatternGraph::product(ValueId id, ValueId stop) const {
  Product result;
  std::vector<ValueId> open = {id};
  while (!open.empty()) {
    const ValueId next = open.back();
    open.pop_back();
    const bool expands = next != stop && result.factors.size() + open.size() < kMostFactors;
    if (const auto scaled = expands ? times_number(next) : std::nullopt) {
      result.number *= scaled->factor;
      open.push_back(scaled->value);
    } else if (const Node* mul = expands ? maker(next, "Mul") : nullptr) {
      open.push_back(mul->inputs[1]);
      open.push_back(mul->inputs[0]);
    } else {
      result.factors.push_back(next);
    }
  }
  return result;
}

std::optional<Bounded> PatternGraph::bound(ValueId id) const {
  const Node* node = maker(id);
  if (!node || !node->def->domain.empty()) return std::nullopt;
  const NodeContext context(*node);
  Bounded result{node->inputs.empty() ? kNoValue : node->inputs[0]};
  const std::string_view op = node->def->name;
  if (op == "Relu") {
    result.low = 0;
  } else if (op == "Clip") {
    if (context.has_attribute("min")) result.low = static_cast<double>(context.get_float("min", 0));
    if (context.has_attribute("max")) result.high = static_cast<double>(context.get_float("max", 0));
    for (int i = 1; i < context.inputs(); ++i) {
      if (!context.has_input(i)) continue;
      const auto to = number(node->inputs[static_cast<size_t>(i)]);
      if (!to) return std::nullopt;
      (i == 1 ? result.low : result.high) = *to;
    }
  } else if ((op == "Min" || op == "Max") && node->inputs.size() == 2) {
    const auto left = number(node->inputs[0]), right = number(node->inputs[1]);
    if (!left && !right) return std::nullopt;
    if (!right) result.value = node->inputs[1];
    (op == "Min" ? result.high : result.low) = right ? *right : *left;
  } else {
    return std::nullopt;
  }
  return result;
}

std::optional<Bounded> PatternGraph::bounded(ValueId id) const {
  auto outer = bound(id);
  const auto inner = outer && std::isinf(outer->low) != std::isinf(outer->high) ? bound(outer->value) : std::nullopt;
  if (inner && std::isinf(outer->low) && std::isinf(inner->high)) return Bounded{inner->value, inner->low, outer->high};
  if (inner && std::isinf(outer->high) && std::isinf(inner->low)) return Bounded{inner->value, outer->low, inner->high};
  return outer;
}

bool PatternGraph::keep_shape_of(ValueId x, size_t anchor, const Cut& cut) const {
  const auto fits = [&](size_t n) {
    return std::ranges::all_of(graph_.nodes[n].inputs, [&](ValueId id) {
      return id == kNoValue || graph_.value(id).kind != ValueKind::kConstant || rank(id) <= rank(x);
    });
  };
  return fits(anchor) && std::ranges::all_of(cut.inner, fits);
}

Cut PatternGraph::cut(size_t anchor, std::span<const ValueId> leaves) const {
  Cut cut;
  std::vector<size_t> open = {anchor};
  for (size_t at = 0; at < open.size(); ++at)
    for (ValueId id : graph_.nodes[open[at]].inputs) {
      const int n = maker_index(id);
      if (n < 0 || std::ranges::find(leaves, id) != leaves.end()) continue;
      const auto index = static_cast<size_t>(n);
      if (std::ranges::find(open, index) != open.end()) continue;
      if (open.size() > kMostInner) return {{}, fmt::format("more than {} nodes lie between the pattern's ends", kMostInner)};
      open.push_back(index);
    }
  cut.inner.assign(open.begin() + 1, open.end());
  cut.obstacle = obstacle_of(cut.inner, anchor);
  return cut;
}

std::string PatternGraph::obstacle_of(const std::vector<size_t>& inner, size_t anchor) const {
  std::vector<std::pair<ValueId, int>> inside;  // how often the match itself reads its inner values
  for (size_t n : inner)
    for (ValueId id : graph_.nodes[n].outputs)
      if (id != kNoValue) inside.emplace_back(id, 0);
  const auto count = [&](size_t n) {
    for (ValueId id : graph_.nodes[n].inputs)
      if (const auto found = std::ranges::find(inside, id, &std::pair<ValueId, int>::first); found != inside.end()) ++found->second;
  };
  count(anchor);
  std::ranges::for_each(inner, count);
  for (const auto& [id, reads] : inside)
    if (reads != uses_[static_cast<size_t>(id)]) return reader_beyond(id);
  for (size_t n : inner)
    if (state_changes_[n] != state_changes_[anchor]) return "a state changes between the pattern's nodes";
  return "";
}

std::string PatternGraph::reader_beyond(ValueId id) const {
  const bool returned = std::ranges::find(graph_.outputs, id) != graph_.outputs.end();
  return fmt::format("{} is {}", graph_.value(id).name, returned ? "an output of the graph" : "also read outside of the pattern");
}

void PatternGraph::count_reads(const Node& node, int by) {
  for (ValueId id : node.inputs)
    if (id != kNoValue) uses_[static_cast<size_t>(id)] += by;
}

void PatternGraph::replace(size_t anchor, const Cut& cut, Node fused) {
  uses_.resize(graph_.values.size());
  for (size_t n : cut.inner) {
    removed_[n] = true;
    count_reads(graph_.nodes[n], -1);
  }
  count_reads(graph_.nodes[anchor], -1);
  fused.outputs = graph_.nodes[anchor].outputs;
  if (fused.name.empty()) fused.name = graph_.nodes[anchor].name;
  count_reads(fused, 1);
  graph_.nodes[anchor] = std::move(fused);
}

ValueId PatternGraph::emit_before(size_t anchor, const OpDef& def, std::vector<ValueId> inputs, Attributes attributes) {
  const ValueId output = graph_.add_node(def, std::move(inputs), 1, std::move(attributes), graph_.nodes[anchor].name)[0];
  uses_.resize(graph_.values.size());
  count_reads(graph_.nodes.back(), 1);
  emitted_.emplace_back(anchor, std::move(graph_.nodes.back()));
  graph_.nodes.pop_back();
  return output;
}

void PatternGraph::finish() {
  if (emitted_.empty()) {
    erase_nodes(graph_, removed_);
  } else {
    std::ranges::stable_sort(emitted_, {}, &std::pair<size_t, Node>::first);
    std::vector<Node> nodes;
    size_t next = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      for (; next < emitted_.size() && emitted_[next].first == n; ++next) nodes.push_back(std::move(emitted_[next].second));
      if (!removed_[n]) nodes.push_back(std::move(graph_.nodes[n]));
    }
    graph_.nodes = std::move(nodes);
  }
  drop_unused_values(graph_);
}

}  // namespace tandem
