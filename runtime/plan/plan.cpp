#include "runtime/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/base/block.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/node_error.h"
#include "runtime/ops/cpu_types.h"
#include "runtime/ops/plain_attention.h"
#include "runtime/passes/half_widening.h"
#include "runtime/plan/arena.h"
#include "runtime/plan/constant_release.h"
#include "runtime/plan/conv_chains.h"
#include "runtime/plan/node_order.h"
#include "runtime/plan/shapes.h"
#include "runtime/plan/storage.h"
#include "runtime/plan/winograd.h"

namespace tandem {
namespace {

// An unnamed dimension of an input gets a symbol of its own.
std::string symbol_of(const Value& input, size_t axis) {
  const Dim& dim = (*input.type.dims)[axis];
  return dim.symbol.empty() ? fmt::format("{}.{}", input.name, axis) : dim.symbol;
}

// Whether a bound would have to be assumed for a dimension of the input.
bool has_open_symbol(const PlanOptions& options, const Value& input) {
  for (size_t axis = 0; input.type.dims && axis < input.type.dims->size(); ++axis)
    if (!(*input.type.dims)[axis].known() && !options.bounds.contains(symbol_of(input, axis))) return true;
  return false;
}

// A sequence, an optional value, a tensor of unknown rank: nothing can be planned for it.
bool is_dynamic_input(const Plan& plan, const Value& input) {
  return plan.options.dynamic_inputs || input.type.container != Container::kTensor || !input.type.dims ||
         (plan.options.open_symbols && has_open_symbol(plan.options, input));
}

// Nobody checks what is given to a body, so equal symbols say nothing.
void forget_symbols(Value& input) {
  if (!input.type.dims) return;
  for (Dim& dim : *input.type.dims) dim.symbol.clear();
}

// Names every open dimension of the inputs and finds the bound of each symbol.
void bind_symbols(Plan& plan) {
  for (ValueId id : plan.graph.inputs) {
    Value& input = plan.graph.value(id);
    if (plan.options.dynamic_inputs) forget_symbols(input);
    if (is_dynamic_input(plan, input)) continue;
    for (size_t axis = 0; axis < input.type.dims->size(); ++axis) {
      Dim& dim = (*input.type.dims)[axis];
      if (dim.known()) continue;
      dim.symbol = symbol_of(input, axis);
      const auto asked = plan.options.bounds.find(dim.symbol);
      plan.bounds[dim.symbol] = asked != plan.options.bounds.end() ? asked->second : plan.options.default_bound;
    }
  }
  InferenceContext::KnownContents contents(plan.graph.values.size());
  for (const Node& node : plan.graph.nodes) infer_types(plan.graph, node, &contents);
}

// Whether the sizes of a run decide which axes it leaves out.
bool leaves_open_axes(const Graph& graph, const Node& node) {
  if (node.def->name != "Squeeze" || node.inputs.size() > 1 || node.attributes.contains("axes")) return false;
  const std::optional<Dims>& dims = graph.value(node.inputs[0]).type.dims;
  return dims && !fixed_shape(*dims);
}

// Kernels are bound to axes: what may have fewer of them in a run than at the bounds is made anew in each run, and all that hangs on it.
void open_ranks(Plan& plan) {
  for (const Node& node : plan.graph.nodes) {
    const bool reads_open = std::ranges::any_of(node.inputs, [&](ValueId id) { return id != kNoValue && plan.is_dynamic(id); });
    if (!reads_open && !leaves_open_axes(plan.graph, node)) continue;
    for (ValueId id : node.outputs)
      if (id != kNoValue) plan.dynamic[static_cast<size_t>(id)] = true;
  }
}

void resolve_at_bounds(Plan& plan) {
  std::vector<std::optional<Shape>> inputs;
  for (ValueId id : plan.graph.inputs) {
    const Value& input = plan.graph.value(id);
    if (is_dynamic_input(plan, input)) {
      inputs.emplace_back();
      continue;
    }
    std::vector<int64_t> sizes;
    for (const Dim& dim : *input.type.dims) sizes.push_back(dim.known() ? dim.size : plan.bounds.at(dim.symbol));
    inputs.emplace_back(Shape(sizes));
  }
  ResolvedShapes resolved = resolve_shapes(plan.graph, inputs);
  plan.shapes = std::move(resolved.shapes);
  plan.dynamic = std::move(resolved.dynamic);
  open_ranks(plan);
}

bool is_dynamic(const Plan& plan, const Node& node) {
  return std::ranges::any_of(node.outputs, [&](ValueId id) { return plan.is_dynamic(id); });
}

void place(Plan& plan) {
  plan.placement = plan.on_device() ? place_on_device(plan.graph, plan.options.device_collectives, plan.dynamic) : place_on_host(plan.graph);
  if (!plan.options.strict_device || plan.placement.without_twin.empty()) return;
  std::string names;
  for (const std::string& name : plan.placement.without_twin) names += (names.empty() ? "" : ", ") + name;
  fail(ErrorCode::kInvalidArgument, "ops that would run on the CPU, which a strict device forbids: " + names);
}

// What a graph for the CPU becomes before anything is laid out.
void rewrite_for_host(Plan& plan) {
  widen_halves(plan.graph, std::vector<bool>(plan.graph.nodes.size(), true));
  const bool verify = kVerifyEachPass && plan.packs->bytes() == 0;  // constants that another plan packed have no content
  const auto is_asked_for = [&](const Pass* pass) {
    return plan.options.precision == DType::kBF16 || (pass != &bf16_storage_pass && pass != &bf16_products_pass);
  };
  for (const Pass* pass : host_passes())
    if (!plan.options.disabled_passes.contains(pass->name) && is_asked_for(pass))
      plan.passes.push_back(run_pass(plan.graph, *pass, verify));
}

// Of a plan for a GPU: what stays on the CPU and is declared in 16 bits computes in f32, between casts.
void widen_host_nodes(Plan& plan) {
  DevicePlacement& placement = plan.placement;
  std::vector<bool> on_host;
  for (Space space : placement.nodes) on_host.push_back(space == Space::kHost);
  const std::vector<Space> spaces = std::exchange(placement.nodes, {});
  for (int origin : widen_halves(plan.graph, on_host))
    placement.nodes.push_back(origin < 0 ? Space::kHost : spaces[static_cast<size_t>(origin)]);
  placement.values.resize(plan.graph.values.size(), Space::kHost);
}

StepKind kind_of(const Plan& plan, size_t n) {
  const Node& node = plan.graph.nodes[n];
  if (is_dynamic(plan, node)) return StepKind::kDynamic;
  if (is_view(node)) return StepKind::kView;
  if (!plan.on_device()) return StepKind::kHost;
  if (is_feed(plan.graph, node)) return StepKind::kFeed;
  if (is_copy_to_device(node)) return StepKind::kCopyToDevice;
  if (is_copy_to_host(node)) return StepKind::kCopyToHost;
  return plan.placement.nodes[n] == Space::kHost ? StepKind::kHost : StepKind::kDevice;
}

// What a kernel says of its shapes and types becomes a message of the node.
BoundKernel bind(BoundKernel (*binder)(const BindContext&), const BindContext& context) {
  try {
    return binder(context);
  } catch (const Error& error) {
    throw naming_node(error, context.node());
  }
}

void refuse_without_kernel(const Node& node, StepKind kind, const Graph& graph) {
  if (kind == StepKind::kDynamic) {
    require(node.def->cpu != nullptr || node.def->evaluate != nullptr || is_view(node), "an op has no CPU kernel (op, node)", node.def->name, node.name);
    for (const Alias& alias : node.def->aliases)
      require(alias.kind != AliasKind::kMust, "a state cannot be replaced by a value whose shape depends on data (op, node)", node.def->name, node.name);
  } else if (kind == StepKind::kHost) {
    require(node.def->cpu != nullptr, "an op has no CPU kernel (op, node)", node.def->name, node.name);
    require(cpu_computes(graph, node), "the CPU does not replace states of f16 or bf16: keep them in f32 (op, node)", node.def->name, node.name);
  }
}

void bind_kernels(Plan& plan) {
  ConstantRelease release(plan.graph);
  plan.steps.resize(plan.graph.nodes.size());
  plan.host.constants_in_heap = 0;  // of the estimate: here what is packed, and plan_memory() adds what is left
  for (size_t n : release.binding_order()) {
    const Node& node = plan.graph.nodes[n];
    Step& step = plan.steps[n];
    step.node = static_cast<int>(n);
    step.kind = kind_of(plan, n);
    refuse_without_kernel(node, step.kind, plan.graph);
    const BindContext context(plan.graph, node, plan.shapes, plan.options.threads, plan.packs.get());
    const int64_t before = plan.packs->bytes();
    if (step.kind == StepKind::kHost)
      step.kernel = bind(node.def->cpu, context);
    else if (step.kind == StepKind::kDevice)
      step.kernel = bind(node.def->cuda, context);
    if (!node.def->pack || plan.on_device() || (step.kind != StepKind::kHost && step.kind != StepKind::kDynamic)) continue;
    if (const int64_t added = plan.packs->bytes() - before; added < static_cast<int64_t>(kOwnPages)) plan.host.constants_in_heap += added;
    const uint32_t packed = node.def->pack(context);
    plan.host.loading = std::max(plan.host.loading, plan.packs->bytes() + release.bytes());
    release.packed(node, packed);
  }
  return_freed_memory();
}

void plan_bodies(Plan& plan) {
  const PlanOptions options{.threads = plan.options.threads,
                            .memory_limit = plan.options.memory_limit,
                            .precision = plan.options.precision,
                            .dynamic_inputs = true,
                            .fast_math = plan.options.fast_math,
                            .tuning = plan.options.tuning,
                            .disabled_passes = plan.options.disabled_passes};
  for (size_t n = 0; n < plan.graph.nodes.size(); ++n)
    for (const auto& [name, attribute] : plan.graph.nodes[n].attributes)
      if (const auto* body = std::get_if<Subgraph>(&attribute); body && plan.graph.nodes[n].def->evaluate)  // a region's is no plan's
        plan.bodies[{static_cast<int>(n), name}] = make_plan(**body, options);
}

void refuse_over(const Plan& plan, const MemoryPlan& memory, int64_t limit, std::string_view where) {
  if (memory.total() > limit)
    fail(ErrorCode::kOutOfMemory,
         fmt::format("the plan of '{}' needs {} bytes of {} memory (arena {}, workspace {}, constants {}, states {}, feeds 2 x {}); the "
                     "limit is {}",
                     plan.graph.name, memory.total(), where, memory.arena, memory.workspace, memory.constants, memory.states,
                     memory.feeds, limit));
}

void refuse_over_limits(const Plan& plan) {
  refuse_over(plan, plan.host, plan.options.memory_limit, "host");
  refuse_over(plan, plan.device, plan.options.device_memory_limit, "GPU");
}

// Another order of the nodes, if less is alive at once in it.
void choose_order(Plan& plan) {
  if (plan.on_device()) return;
  const auto order = frugal_order(plan.graph, plan.shapes);
  if (!order || std::ranges::is_sorted(*order)) return;
  const auto alive = [&] {
    estimate_memory(plan, assign_storage(plan.graph, plan.shapes, plan.dynamic, false));
    return plan.host.lower_bound;
  };
  const int64_t as_given = alive();
  std::vector<Node> nodes;
  for (int n : *order) nodes.push_back(plan.graph.nodes[static_cast<size_t>(n)]);
  std::swap(nodes, plan.graph.nodes);
  if (alive() >= as_given) std::swap(nodes, plan.graph.nodes);
}

void fill(Plan& plan) {
  bind_symbols(plan);
  if (plan.on_device())
    write_out_attention(plan.graph);  // a GPU has kernels for its parts
  else
    rewrite_for_host(plan);
  resolve_at_bounds(plan);
  if (plan.options.fast_math && !plan.on_device()) choose_winograd(plan);
  if (!plan.on_device()) chain_convs(plan);
  place(plan);
  if (plan.on_device()) {
    widen_host_nodes(plan);
    resolve_at_bounds(plan);  // casts and copies are new values
  }
  choose_order(plan);
  const StorageMap storage = assign_storage(plan.graph, plan.shapes, plan.dynamic, plan.on_device());
  estimate_memory(plan, storage);
  refuse_over_limits(plan);  // before weights are packed
  bind_kernels(plan);
  for (Step& step : plan.steps)
    if (storage.in_place[static_cast<size_t>(step.node)] && step.kind == StepKind::kHost) step = {step.node, StepKind::kView, {}};
  plan_memory(plan, storage);
  plan_bodies(plan);
  refuse_over_limits(plan);
}

// On failure the graph is given back, but for constants that are in `packs` by then.
std::shared_ptr<const Plan> plan_at_bounds(Graph& graph, const PlanOptions& options) {
  auto plan = std::make_shared<Plan>();
  plan->graph = std::move(graph);
  plan->options = options;
  plan->packs = options.packs;
  try {
    fill(*plan);
  } catch (...) {
    graph = std::move(plan->graph);
    throw;
  }
  return plan;
}

}  // namespace

std::shared_ptr<const Plan> make_plan(Graph graph, const PlanOptions& options) {
  require(options.threads >= 1, "a plan needs at least one thread", options.threads);
  require(options.precision == DType::kF32 || options.precision == DType::kBF16, "a plan computes in f32 or bf16", name(options.precision));
  require(options.precision == DType::kF32 || options.target == Space::kHost, "the precision of a plan for a GPU is that of its graph; leave out",
          name(options.precision));
  std::vector<PlanOptions> attempts{options};
  if (!options.packs) attempts[0].packs = std::make_shared<PackedConstants>();
  // The model may take some sizes only (those of a matrix, a multiple of the window): the run will know them.
  const auto is_open = [&](ValueId id) { return has_open_symbol(options, graph.value(id)); };
  if (!options.open_symbols && std::ranges::any_of(graph.inputs, is_open)) attempts.emplace_back(attempts[0]).open_symbols = true;
  // Sizes that hang together may never be at their bounds in one run.
  const bool has_states = std::ranges::any_of(graph.values, [](const Value& value) { return value.kind == ValueKind::kState; });
  if (options.bounds.size() > 1 && !has_states && options.target == Space::kHost) {
    attempts.push_back(attempts[0]);
    attempts.back().open_symbols = true;
    attempts.back().bounds.clear();
  }
  for (size_t i = 0; i + 1 < attempts.size(); ++i) try {
      return plan_at_bounds(graph, attempts[i]);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidArgument) throw;
    }
  return plan_at_bounds(graph, attempts.back());
}

}  // namespace tandem
