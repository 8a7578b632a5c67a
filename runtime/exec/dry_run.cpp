#include "runtime/exec/dry_run.h"

#include <algorithm>
#include <set>

#include "runtime/exec/binding.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

// Regions of an address space that nobody looks at, each far from the others and aligned as cudaMalloc's memory is.
std::byte* made_up(int64_t region, int64_t part = 0) { return reinterpret_cast<std::byte*>((region << 44) + (part << 33)); }

class DryRun {
 public:
  DryRun(const Plan& plan, cuda::Math math) : plan_(plan), session_(nullptr, math), host_arena_(DType::kU8, {plan.host.arena}) {
    host_workspace_ = Tensor(DType::kU8, {plan.host.workspace});
    std::vector<ConstTensorView> views;
    for (ValueId id : plan.graph.inputs) {
      inputs_.emplace_back(plan.graph.value(id).type.dtype, plan.shapes[static_cast<size_t>(id)]);
      views.push_back(std::as_const(inputs_.back()).view());
    }
    binding_ = make_binding(plan, views, memories());
    binding_->patch(views);
  }

  std::vector<StepCost> run() {
    std::vector<StepCost> costs;
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      if (plan_.steps[s].kind == StepKind::kHost) run_on_host(s);
      if (plan_.steps[s].kind == StepKind::kDevice) costs.push_back(cost_of(s));
    }
    return costs;
  }

 private:
  Memories memories() {
    const Graph& graph = plan_.graph;
    const auto content = [&graph](ValueId root) { return const_cast<std::byte*>(graph.value(root).data.view().data); };
    return {.host_arena = host_arena_.view().data,
            .device_arena = made_up(1),
            .feeds = made_up(2),
            .state = [=](ValueId root, Space space) { return space == Space::kHost ? content(root) : made_up(3, root); },
            .constant = [=](ValueId root, Space space) { return space == Space::kHost ? content(root) : made_up(4, root); }};
  }

  const Node& node_of(size_t s) const { return plan_.graph.nodes[static_cast<size_t>(plan_.steps[s].node)]; }

  // Kernels read shapes on the host, so those are worked out; other content does not matter here.
  void run_on_host(size_t s) {
    const Node& node = node_of(s);
    const bool makes_shapes = std::ranges::all_of(node.outputs, [&](ValueId id) {
      return id == kNoValue ||
             (is_integer(plan_.graph.value(id).type.dtype) && plan_.shapes[static_cast<size_t>(id)].rank() <= 1);
    });
    if (!makes_shapes || node.def->stateful) return;
    try {
      plan_.steps[s].kernel.run({.workspace = {host_workspace_.view().data, host_workspace_.bytes()}}, binding_->step_inputs(s),
                                binding_->step_outputs(s));
    } catch (const Error&) {  // it did not like the zeros that stand for data
    }
  }

  StepCost cost_of(size_t s) {
    const Node& node = node_of(s);
    const Inputs inputs = binding_->step_inputs(s);
    const Outputs outputs = binding_->step_outputs(s);
    StepCost cost;
    cost.step = s;
    cost.op = node.def->name;
    session_.recorder = &cost.launches;
    plan_.steps[s].kernel.run({.cuda = &session_, .workspace = {made_up(5), static_cast<size_t>(plan_.device.workspace)}}, inputs,
                              outputs);
    std::set<const std::byte*> seen;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const bool is_read = node.inputs[i] != kNoValue && !(node.def->shape_inputs >> i & 1);
      if (is_read && seen.insert(inputs[i].data).second) cost.bytes_read += static_cast<int64_t>(inputs[i].bytes());
    }
    for (size_t i = 0; i < outputs.size(); ++i)
      if (node.outputs[i] != kNoValue) cost.bytes_written += static_cast<int64_t>(outputs[i].bytes());
    describe(node, cost);
    if (cost.launches.empty()) {  // its inputs were made where they are wanted
      cost.bytes_read = cost.bytes_written = 0;
      cost.flops = 0;
    }
    return cost;
  }

  void describe(const Node& node, StepCost& cost) const {
    cost.is_product = node.def->name.find("MatMul") != std::string_view::npos ||
                      node.def->name.find("Gemm") != std::string_view::npos ||
                      node.def->name.find("Conv") != std::string_view::npos;
    if (node.outputs.empty() || node.outputs[0] == kNoValue) return;
    const Value& output = plan_.graph.value(node.outputs[0]);
    cost.output = output.name;
    cost.dtype = output.type.dtype;
    const BindContext context(plan_.graph, node, plan_.shapes, plan_.options.threads);
    cost.flops = node.def->flops ? node.def->flops(context) : static_cast<double>(context.output_shape(0).elements());
  }

  const Plan& plan_;
  cuda::Session session_;
  Tensor host_arena_, host_workspace_;
  std::vector<Tensor> inputs_;
  std::unique_ptr<Binding> binding_;
};

}  // namespace

std::vector<StepCost> dry_run(const Plan& plan, cuda::Math math) {
  require(plan.on_device(), "a dry run is of a plan for a GPU", plan.graph.name);
  return DryRun(plan, math).run();
}

}  // namespace tandem
