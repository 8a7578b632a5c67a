// Elementwise nodes of one shape become one node that reads and writes memory once: tandem.Region.
//
//   %s = Sigmoid(%x)   %p = Mul(%x, %s)   %y = Add(%p, %z)   ->   %y = tandem.Region(%x, %z) {body=graph Sigmoid+Mul+Add of 3 nodes}
//
// The bits stay what they were, so graphs that train may be rewritten too. Regions are for plans of the CPU and are made after the
// casts around 16-bit floats; a graph at rest has none.
#include <algorithm>
#include <map>

#include "runtime/graph/op_def.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/region_growth.h"

namespace tandem {
namespace {

constexpr size_t kMostOpsNamed = 6;

class BodyBuilder {
 public:
  BodyBuilder(const Graph& around, const GrownRegion& region) : around_(around), region_(region) {
    body_.opsets = around.opsets;
    body_.name.clear();
  }

  Subgraph run() {
    for (ValueId id : region_.inputs) body_.inputs.push_back(take(id, ValueKind::kInput));
    for (size_t i = 0; i < region_.nodes.size(); ++i) add(i);
    for (ValueId id : region_.outputs) body_.outputs.push_back(own_.at(id));
    return std::make_shared<const Graph>(std::move(body_));
  }

 private:
  ValueId take(ValueId id, ValueKind kind) {
    const auto own = static_cast<ValueId>(body_.values.size());
    body_.values.push_back({around_.value(id).name, around_.value(id).type, kind, {}});
    own_[id] = own;
    return own;
  }

  void add(size_t i) {
    Node node = around_.nodes[static_cast<size_t>(region_.nodes[i])];
    if (i < kMostOpsNamed) body_.name += (i ? "+" : "") + std::string(node.def->name);
    if (i == kMostOpsNamed) body_.name += "+...";
    for (ValueId& id : node.inputs)
      if (id != kNoValue) id = own_.at(id);
    for (ValueId& id : node.outputs) id = take(id, ValueKind::kResult);
    body_.nodes.push_back(std::move(node));
  }

  const Graph& around_;
  const GrownRegion& region_;
  Graph body_;
  std::map<ValueId, ValueId> own_;
};

int apply(Graph& graph, PassNotes&) {
  const OpDef& op = newest_op("Region", "tandem");
  const std::vector<GrownRegion> regions = grow_regions(graph);
  std::vector<bool> removed(graph.nodes.size());
  for (const GrownRegion& region : regions) {
    Subgraph body = BodyBuilder(graph, region).run();
    for (int n : region.nodes) removed[static_cast<size_t>(n)] = true;
    const auto last = static_cast<size_t>(region.nodes.back());
    removed[last] = false;
    graph.nodes[last] = {&op, graph.nodes[last].name, region.inputs, region.outputs, {{"body", std::move(body)}}};
  }
  erase_nodes(graph, removed);
  return static_cast<int>(regions.size());
}

}  // namespace

const Pass elementwise_regions_pass = {"elementwise_regions", "run elementwise nodes of one shape together, tile by tile", apply};

}  // namespace tandem
