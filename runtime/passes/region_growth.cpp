#include "runtime/passes/region_growth.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/graph/op_def.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/elementwise_nodes.h"
#include "runtime/passes/shape_classes.h"

namespace tandem {
namespace {

// What the tiles' registers and a region's bookkeeping are made for.
constexpr size_t kMostNodes = 128, kMostInputs = 64, kMostOperands = 8;
constexpr int64_t kMostElementsOfAShape = 1024;

class Growth {
 public:
  explicit Growth(const Graph& graph)
      : graph_(graph),
        classes_(graph),
        producers_(graph.producers()),
        state_changes_(count_state_changes(graph)),
        last_reader_(graph.values.size(), -1),
        region_of_(graph.nodes.size(), -1),
        other_work_(graph.nodes.size()) {
    for (size_t n = 0; n < graph.nodes.size(); ++n)
      for (ValueId id : graph.nodes[n].inputs)
        if (id != kNoValue) last_reader_[static_cast<size_t>(id)] = static_cast<int>(n);
    for (ValueId id : graph.outputs) last_reader_[static_cast<size_t>(id)] = std::numeric_limits<int>::max();
  }

  std::vector<GrownRegion> run() {
    int other_work = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const bool fits = fits_a_region(graph_.nodes[n]);
      other_work_[n] = other_work += !fits;
      fits ? add(static_cast<int>(n)) : close_what_is_read(graph_.nodes[n]);
    }
    std::vector<GrownRegion> grown;
    for (Region& region : regions_)
      if (region.nodes.size() > 1) grown.push_back(finished(region));
    std::ranges::sort(grown, {}, [](const GrownRegion& region) { return region.nodes.back(); });
    return grown;
  }

 private:
  struct Region {
    std::vector<int> nodes;  // the largest is `last`; in order only when finished
    int last = -1;
    size_t inputs = 0;  // at most
    bool open = true;
  };
  const Value& value(ValueId id) const { return graph_.value(id); }
  Region& region(int r) { return regions_[static_cast<size_t>(r)]; }
  int region_of_maker(ValueId id) const {
    const int maker = id == kNoValue ? -1 : producers_[static_cast<size_t>(id)];
    return maker < 0 ? -1 : region_of_[static_cast<size_t>(maker)];
  }
  ValueId result_of(int node) const { return graph_.nodes[static_cast<size_t>(node)].outputs[0]; }
  int64_t element_bytes(ValueId id) const { return static_cast<int64_t>(size_of(value(id).type.dtype)); }

  bool fits_a_region(const Node& node) const {
    if (!is_elementwise(*node.def) || node.def->cpu == nullptr || node.outputs.size() != 1 || node.inputs.size() > kMostOperands) return false;
    const ValueId result = node.outputs[0];
    const auto is_plain = [&](ValueId id) { return value(id).type.container == Container::kTensor && value(id).type.dtype != DType::kString; };
    const auto is_operand = [&](ValueId id) { return id == kNoValue || (is_plain(id) && classes_.broadcasts(id, result)); };
    return result != kNoValue && is_plain(result) && std::ranges::all_of(node.inputs, is_operand) && !computes_shapes(node);
  }

  // The plan follows the content of small tensors of integers from node to node, to find shapes.
  bool computes_shapes(const Node& node) const {
    return std::ranges::all_of(node.inputs, [&](ValueId id) {
      if (id == kNoValue) return true;
      const TensorType& type = value(id).type;
      if (type.dtype != DType::kBool && type.dtype != DType::kI32 && type.dtype != DType::kI64) return false;
      if (!type.dims || type.dims->empty()) return true;
      return type.dims->size() == 1 && type.dims->front().size <= kMostElementsOfAShape;
    });
  }

  void close_what_is_read(const Node& node) {
    for (ValueId id : node.inputs)
      if (const int r = region_of_maker(id); r >= 0) region(r).open = false;
  }

  void add(int n) {
    const Node& node = graph_.nodes[static_cast<size_t>(n)];
    int home = -1;
    for (ValueId id : node.inputs) {
      const int r = region_of_maker(id);
      if (r < 0 || r == home) continue;
      if (takes(r, n, home))
        home = home < 0 ? r : merge(home, r);
      else
        region(r).open = false;
    }
    if (home < 0) {
      home = static_cast<int>(regions_.size());
      regions_.emplace_back();
    }
    const auto is_outside = [&](ValueId id) { return id != kNoValue && region_of_maker(id) != home; };
    region(home).inputs += static_cast<size_t>(std::ranges::count_if(node.inputs, is_outside));
    region(home).nodes.push_back(n);
    region(home).last = n;
    region_of_[static_cast<size_t>(n)] = home;
  }

  // Whether node n, which joins `home` (-1: nothing yet), may join region r too.
  bool takes(int r, int n, int home) {
    const Region& joined = region(r);
    const size_t nodes = home < 0 ? 0 : region(home).nodes.size(), inputs = home < 0 ? 0 : region(home).inputs;
    return joined.open && classes_.same(result_of(n), result_of(joined.last)) && joined.nodes.size() + nodes < kMostNodes &&
           joined.inputs + inputs + kMostOperands <= kMostInputs &&
           state_changes_[static_cast<size_t>(n)] == state_changes_[static_cast<size_t>(joined.last)] &&
           (other_work_[static_cast<size_t>(n)] == other_work_[static_cast<size_t>(joined.last)] || waiting_costs_nothing(joined));
  }

  // While a region waits, the tensors live that it is the last to read, and those that it makes do not.
  bool waiting_costs_nothing(const Region& waiting) const {
    int64_t read = 0, made = 0;
    for (ValueId id : inputs_of(waiting)) {
      const bool ends_here = last_reader_[static_cast<size_t>(id)] <= waiting.last && value(id).kind == ValueKind::kResult;
      if (ends_here && classes_.same(id, result_of(waiting.last))) read += element_bytes(id);
    }
    for (int n : waiting.nodes)
      if (last_reader_[static_cast<size_t>(result_of(n))] > waiting.last) made += element_bytes(result_of(n));
    return read <= made;
  }

  int merge(int a, int b) {
    if (region(a).nodes.size() < region(b).nodes.size()) std::swap(a, b);
    Region &kept = region(a), &moved = region(b);
    for (int n : moved.nodes) region_of_[static_cast<size_t>(n)] = a;
    kept.nodes.insert(kept.nodes.end(), moved.nodes.begin(), moved.nodes.end());
    kept.last = std::max(kept.last, moved.last);
    kept.inputs += moved.inputs;
    moved = {};
    return a;
  }

  std::vector<ValueId> inputs_of(const Region& of) const {
    std::vector<ValueId> inputs;
    for (int n : of.nodes)
      for (ValueId id : graph_.nodes[static_cast<size_t>(n)].inputs)
        if (id != kNoValue && (producers_[static_cast<size_t>(id)] < 0 || region_of_maker(id) != region_of_[static_cast<size_t>(n)]))
          inputs.push_back(id);
    // Once each, in order of appearance.
    std::vector<ValueId> sorted = inputs, unique;
    std::ranges::sort(sorted);
    std::vector<bool> seen(sorted.size());
    for (ValueId id : inputs) {
      const auto at = static_cast<size_t>(std::ranges::lower_bound(sorted, id) - sorted.begin());
      if (!seen[at]) unique.push_back(id);
      seen[at] = true;
    }
    return unique;
  }

  GrownRegion finished(Region& region) const {
    std::ranges::sort(region.nodes);
    GrownRegion grown{region.nodes, inputs_of(region), {result_of(region.last)}};
    std::ranges::stable_partition(grown.inputs, [&](ValueId id) { return classes_.same(id, result_of(region.last)); });
    for (int n : region.nodes)
      if (n != region.last && last_reader_[static_cast<size_t>(result_of(n))] > region.last) grown.outputs.push_back(result_of(n));
    return grown;
  }

  const Graph& graph_;
  ShapeClasses classes_;
  std::vector<int> producers_;
  std::vector<int> state_changes_;
  std::vector<int> last_reader_;  // by ValueId: a node's index, the largest int for what the graph returns
  std::vector<int> region_of_;    // by node; -1
  std::vector<int> other_work_;   // by node: how many up to it fit no region
  std::vector<Region> regions_;
};

}  // namespace

std::vector<GrownRegion> grow_regions(const Graph& graph) { return Growth(graph).run(); }

}  // namespace tandem
