// Parts of tensors, taken at places that are known: a Gather of consecutive indices is a Slice; a Slice of a Slice that nobody else reads is one
// Slice of the first tensor; a Concat of parts that follow each other (Slices, outputs of a Split) and make up a whole tensor is that tensor.
#include <algorithm>
#include <map>
#include <optional>

#include "runtime/graph/constant_integers.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/state_views.h"

namespace tandem {
namespace {

bool is_standard(const Node& node, std::string_view op) { return node.def->domain.empty() && node.def->name == op; }

// What a Slice with positive steps takes of one axis.
struct Range {
  int64_t start = 0, end = 0, step = 1;
  int64_t length() const { return end > start ? (end - start + step - 1) / step : 0; }
};
using Ranges = std::map<int, Range>;  // by axis

class Parts {
 public:
  explicit Parts(Graph& graph)
      : graph_(graph),
        replacement_(graph),
        states_(graph),
        producers_(graph.producers()),
        uses_(count_uses(graph)),
        removed_(graph.nodes.size()) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < removed_.size(); ++n) {
      for (ValueId& id : graph_.nodes[n].inputs) id = replacement_.current(id);
      const Node& node = graph_.nodes[n];
      states_.follow(node);
      if (is_standard(node, "Gather")) changes += slice_for_gather(n);
      if (is_standard(node, "Slice")) changes += join_slices(n);
      if (is_standard(node, "Concat")) changes += drop_concat(n);
    }
    replacement_.apply();
    erase_nodes(graph_, removed_);
    if (changes > 0) dead_code_pass.apply(graph_);  // parts that nobody reads any more
    return changes;
  }

 private:
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }
  const Node* maker(ValueId id) const {
    const int p = producers_[static_cast<size_t>(id)];
    return p < 0 ? nullptr : &graph_.nodes[static_cast<size_t>(p)];
  }

  std::optional<std::vector<int64_t>> integers(const Node& node, size_t i) const {
    if (i >= node.inputs.size() || node.inputs[i] == kNoValue || graph_.value(node.inputs[i]).data.shape().rank() != 1) return std::nullopt;
    return constant_integers(graph_, node.inputs[i]);
  }

  // What a Slice takes, if it is known in numbers for every axis that it names.
  std::optional<Ranges> ranges_of(const Node& node) const {
    const auto& dims = type(node.inputs[0]).dims;
    const auto starts = integers(node, 1), ends = integers(node, 2);
    if (!dims || !starts || !ends || starts->size() != ends->size()) return std::nullopt;
    std::vector<int64_t> axes, steps(starts->size(), 1);
    for (size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<int64_t>(i));
    const NodeContext context(node);
    for (auto [input, list] : {std::pair{3, &axes}, std::pair{4, &steps}}) {
      if (!context.has_input(input)) continue;
      const auto given = integers(node, static_cast<size_t>(input));
      if (!given || given->size() != starts->size()) return std::nullopt;
      *list = *given;
    }
    Ranges ranges;
    for (size_t i = 0; i < axes.size(); ++i) {
      const int axis = context.normalized_axis(axes[i], static_cast<int>(dims->size()));
      const Dim& dim = (*dims)[static_cast<size_t>(axis)];
      if (!dim.known() || steps[i] < 1 || steps[i] > dim.size) return std::nullopt;
      const auto clamped = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + dim.size : at, 0, dim.size); };
      if (!ranges.emplace(axis, Range{clamped((*starts)[i]), clamped((*ends)[i]), steps[i]}).second) return std::nullopt;
    }
    return ranges;
  }

  ValueId add_list(std::string name, const std::vector<int64_t>& values) {
    producers_.push_back(-1), uses_.push_back(1);
    return graph_.add_constant(std::move(name), Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }

  void become_slice(size_t n, ValueId source, const Ranges& ranges) {
    std::vector<int64_t> starts, ends, axes, steps;
    for (const auto& [axis, range] : ranges) {
      starts.push_back(range.start), ends.push_back(range.end);
      axes.push_back(axis), steps.push_back(range.step);
    }
    std::vector<ValueId> inputs = {source, add_list("starts", starts), add_list("ends", ends), add_list("axes", axes)};
    if (std::ranges::any_of(steps, [](int64_t step) { return step != 1; })) inputs.push_back(add_list("steps", steps));
    Node& node = graph_.nodes[n];
    node.def = &newest_op("Slice");
    node.inputs = std::move(inputs);
    node.attributes.clear();
  }

  bool slice_for_gather(size_t n) {
    const Node& node = graph_.nodes[n];
    const auto indices = integers(node, 1);
    const auto& dims = type(node.inputs[0]).dims;
    if (!indices || indices->empty() || !dims) return false;
    const int axis = NodeContext(node).normalized_axis(NodeContext(node).get_int("axis", 0), static_cast<int>(dims->size()));
    const Dim& dim = (*dims)[static_cast<size_t>(axis)];
    if (!dim.known() || dim.size == 0) return false;
    const auto at = [&](int64_t index) { return index < 0 ? index + dim.size : index; };
    const int64_t first = at((*indices)[0]), last = at(indices->back());
    if (first < 0 || last >= dim.size) return false;  // out of range: the kernel says so
    for (size_t i = 0; i < indices->size(); ++i)
      if (at((*indices)[i]) != first + static_cast<int64_t>(i)) return false;
    become_slice(n, node.inputs[0], {{axis, {first, last + 1, 1}}});
    return true;
  }

  bool join_slices(size_t n) {
    const Node& node = graph_.nodes[n];
    const Node* inner = maker(node.inputs[0]);
    if (inner == nullptr || !is_standard(*inner, "Slice") || uses_[static_cast<size_t>(node.inputs[0])] != 1 ||
        states_.contains(inner->inputs[0]))
      return false;
    auto joined = ranges_of(*inner);
    const auto outer = ranges_of(node);
    if (!joined || !outer) return false;
    for (const auto& [axis, range] : *outer) {
      const auto [known, is_new] = joined->try_emplace(axis, range);
      if (is_new) continue;
      Range& whole = known->second;
      const int64_t length = range.length(), start = whole.start + range.start * whole.step, step = whole.step * range.step;
      whole = {start, length == 0 ? start : start + (length - 1) * step + 1, length <= 1 ? 1 : step};
    }
    removed_[static_cast<size_t>(producers_[static_cast<size_t>(node.inputs[0])])] = true;
    become_slice(n, inner->inputs[0], *joined);
    return true;
  }

  // Where a part lies along the axis of the tensor that it was taken from.
  struct Place {
    ValueId whole;
    int64_t start, end;
  };
  std::optional<Place> place_of(ValueId part, int axis) const {
    const Node* node = maker(part);
    if (node == nullptr) return std::nullopt;
    if (is_standard(*node, "Slice")) {
      const auto ranges = ranges_of(*node);
      if (!ranges || ranges->size() != 1 || ranges->begin()->first != axis) return std::nullopt;
      const Range& range = ranges->begin()->second;
      return range.step == 1 && range.length() > 0 ? std::optional(Place{node->inputs[0], range.start, range.end}) : std::nullopt;
    }
    const auto& dims = type(part).dims;
    if (!is_standard(*node, "Split") || !dims || NodeContext(*node).normalized_axis(NodeContext(*node).get_int("axis", 0), static_cast<int>(dims->size())) != axis)
      return std::nullopt;
    Place place{node->inputs[0], 0, 0};
    for (ValueId output : node->outputs) {
      const auto& sizes = output == kNoValue ? std::nullopt : type(output).dims;
      if (!sizes || !(*sizes)[static_cast<size_t>(axis)].known()) return std::nullopt;
      place.start = place.end;
      place.end += (*sizes)[static_cast<size_t>(axis)].size;
      if (output == part) return place;
    }
    return std::nullopt;
  }

  bool drop_concat(size_t n) {
    const Node& node = graph_.nodes[n];
    const auto& dims = type(node.outputs[0]).dims;
    if (!dims) return false;
    const int axis = NodeContext(node).normalized_axis(NodeContext(node).get_int("axis", 0), static_cast<int>(dims->size()));
    ValueId whole = kNoValue;
    int64_t end = 0;
    for (ValueId part : node.inputs) {
      const auto place = place_of(part, axis);
      if (!place || (whole != kNoValue && place->whole != whole) || place->start != end) return false;
      whole = place->whole;
      end = place->end;
    }
    if (states_.contains(whole) || !type(whole).dims || (*type(whole).dims)[static_cast<size_t>(axis)] != Dim(end)) return false;
    if (!replacement_.replace(node.outputs[0], whole)) return false;
    uses_[static_cast<size_t>(whole)] += uses_[static_cast<size_t>(node.outputs[0])];
    return removed_[n] = true;
  }

  Graph& graph_;
  ValueReplacement replacement_;
  StateViews states_;
  std::vector<int> producers_, uses_;
  std::vector<bool> removed_;
};

int apply(Graph& graph, PassNotes&) { return Parts(graph).run(); }

}  // namespace

const Pass part_simplification_pass = {"part_simplification", "slices of slices, gathers of ranges, and parts put together again", apply};

}  // namespace tandem
