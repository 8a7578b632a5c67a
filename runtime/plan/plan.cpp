#include "runtime/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/plan/offsets.h"
#include "runtime/plan/shapes.h"
#include "runtime/plan/storage.h"

namespace tandem {
namespace {

// Gives every unnamed dimension of the inputs a symbol of its own and finds the bound of each symbol.
void bind_symbols(Plan& plan) {
  for (ValueId id : plan.graph.inputs) {
    Value& input = plan.graph.value(id);
    require(input.type.dims.has_value(), "the rank of a graph input is not known", input.name);
    for (size_t axis = 0; axis < input.type.dims->size(); ++axis) {
      Dim& dim = (*input.type.dims)[axis];
      if (dim.known()) continue;
      if (dim.symbol.empty()) dim.symbol = fmt::format("{}.{}", input.name, axis);
      const auto asked = plan.options.bounds.find(dim.symbol);
      plan.bounds[dim.symbol] = asked != plan.options.bounds.end() ? asked->second : plan.options.default_bound;
    }
  }
  InferenceContext::KnownContents contents(plan.graph.values.size());
  for (const Node& node : plan.graph.nodes) infer_types(plan.graph, node, &contents);
}

std::vector<Shape> shapes_at_bounds(const Plan& plan) {
  std::vector<Shape> inputs;
  for (ValueId id : plan.graph.inputs) {
    std::vector<int64_t> sizes;
    for (const Dim& dim : *plan.graph.value(id).type.dims) sizes.push_back(dim.known() ? dim.size : plan.bounds.at(dim.symbol));
    inputs.emplace_back(sizes);
  }
  return concrete_shapes(plan.graph, inputs);
}

void plan_memory(Plan& plan) {
  const StorageMap map = assign_storage(plan.graph, plan.shapes);
  std::vector<Block> blocks;
  std::vector<size_t> block_of(map.storages.size());
  for (size_t s = 0; s < map.storages.size(); ++s) {
    const Storage& storage = map.storages[s];
    if (storage.placement == Placement::kConstant) plan.constant_bytes += storage.bytes;
    if (storage.placement == Placement::kState) plan.state_bytes += storage.bytes;
    if (storage.placement != Placement::kArena) continue;
    block_of[s] = blocks.size();
    blocks.push_back({storage.bytes, storage.first, storage.last});
  }
  const Packing packing = pack(blocks);
  plan.arena_bytes = packing.bytes;
  plan.lower_bound_bytes = lower_bound(blocks);
  plan.buffers.resize(plan.graph.values.size());
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const auto [s, offset] = map.places[i];
    if (s < 0) continue;
    const Storage& storage = map.storages[static_cast<size_t>(s)];
    const int64_t base = storage.placement == Placement::kArena ? packing.offsets[block_of[static_cast<size_t>(s)]] : 0;
    const auto bytes = plan.shapes[i].elements() * static_cast<int64_t>(size_of(plan.graph.values[i].type.dtype));
    plan.buffers[i] = {storage.placement, storage.owner, base + offset, bytes, storage.first, storage.last};
  }
}

bool is_view(const Node& node) {
  return node.def->cpu == nullptr && !node.def->aliases.empty() && node.def->aliases[0].kind == AliasKind::kView;
}

void bind_kernels(Plan& plan) {
  for (size_t n = 0; n < plan.graph.nodes.size(); ++n) {
    const Node& node = plan.graph.nodes[n];
    Step step{static_cast<int>(n), {}};
    if (!is_view(node)) {
      require(node.def->cpu != nullptr, "an op has no CPU kernel (op, node)", node.def->name, node.name);
      step.kernel = node.def->cpu(BindContext(plan.graph, node, plan.shapes, plan.options.threads));
      plan.workspace_bytes = std::max(plan.workspace_bytes, static_cast<int64_t>(step.kernel.workspace));
      plan.constant_bytes += static_cast<int64_t>(step.kernel.constant_bytes);
    }
    plan.steps.push_back(std::move(step));
  }
}

}  // namespace

std::shared_ptr<const Plan> make_plan(Graph graph, const PlanOptions& options) {
  require(options.threads >= 1, "a plan needs at least one thread", options.threads);
  auto plan = std::make_shared<Plan>();
  plan->graph = std::move(graph);
  plan->options = options;
  bind_symbols(*plan);
  plan->shapes = shapes_at_bounds(*plan);
  plan_memory(*plan);
  const auto refuse_over_limit = [&] {
    if (plan->peak_bytes() > options.memory_limit)
      fail(ErrorCode::kOutOfMemory,
           fmt::format("the plan of '{}' needs {} bytes (arena {}, workspace {}, constants {}, states {}); the limit is {}",
                       plan->graph.name, plan->peak_bytes(), plan->arena_bytes, plan->workspace_bytes, plan->constant_bytes,
                       plan->state_bytes, options.memory_limit));
  };
  refuse_over_limit();  // before weights are packed
  bind_kernels(*plan);
  refuse_over_limit();
  return plan;
}

}  // namespace tandem
