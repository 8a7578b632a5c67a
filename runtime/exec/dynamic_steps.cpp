#include "runtime/exec/dynamic_steps.h"

#include <algorithm>
#include <utility>

#include "runtime/exec/executor.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/evaluate_context.h"
#include "runtime/ops/cpu_types.h"
#include "runtime/plan/shapes.h"

namespace tandem {
namespace {

constexpr int64_t kMostContentElements = 1024;  // larger inputs are data: no shape hangs on them

}  // namespace

// One node as a graph of its own, so that its rule and its kernel see the shapes (and small inputs) of this moment.
struct DynamicSteps::Frame {
  Graph graph;
  Node node;
  std::vector<Shape> shapes;  // of all values, for which `kernel` is bound
  BoundKernel kernel;
  bool is_bound = false;
  std::vector<Value*> shown;  // inputs that stand as constants for the moment

  Frame(const Graph& around, const Node& original) : node(original) {
    graph.opsets = around.opsets;
    for (ValueId& id : node.inputs)
      if (id != kNoValue) id = take(around.value(id), around.value(id).kind == ValueKind::kConstant);
    for (ValueId& id : node.outputs)
      if (id != kNoValue) id = take(around.value(id), false);
  }

  ValueId take(const Value& value, bool constant) {
    graph.values.push_back({value.name, value.type, constant ? ValueKind::kConstant : ValueKind::kInput, constant ? value.data : Tensor()});
    return static_cast<ValueId>(graph.values.size() - 1);
  }

  bool has_shapes_of(std::span<const ConstTensorView> inputs) const {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (node.inputs[i] != kNoValue && shapes[static_cast<size_t>(node.inputs[i])] != inputs[i].shape) return false;
    return true;
  }

  // Whether the rule settles all outputs.
  bool infer() {
    infer_types(graph, node);
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      const auto& dims = graph.value(id).type.dims;
      const auto shape = dims ? fixed_shape(*dims) : std::nullopt;
      if (!shape) return false;
      shapes[static_cast<size_t>(id)] = *shape;
    }
    return true;
  }

  // Binds the kernel for these inputs; it may be kept if only their shapes counted.
  void bind(std::span<const ConstTensorView> inputs, int threads, PackedConstants* packs) {
    is_bound = false;
    hide_contents();  // of a step that failed
    shapes.assign(graph.values.size(), {});
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      shapes[static_cast<size_t>(node.inputs[i])] = inputs[i].shape;
      graph.value(node.inputs[i]).type.dims = to_dims(inputs[i].shape);
    }
    const bool settled_by_shapes = infer();
    if (!settled_by_shapes) show_contents(inputs);
    require(settled_by_shapes || infer(), "the shape of an output does not follow from the inputs");
    // What is shown for the moment is not to be kept as packed.
    if (node.def->cpu) kernel = node.def->cpu(BindContext(graph, node, shapes, threads, settled_by_shapes ? packs : nullptr));
    is_bound = settled_by_shapes;
    if (!settled_by_shapes) hide_contents();
  }

  void show_contents(std::span<const ConstTensorView> inputs) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue || inputs[i].shape.elements() > kMostContentElements) continue;
      Value& value = graph.value(node.inputs[i]);
      if (value.kind != ValueKind::kInput) continue;
      value.kind = ValueKind::kConstant;
      value.data = Tensor::copy_of(inputs[i]);
      shown.push_back(&value);
    }
  }
  void hide_contents() {
    for (Value* value : shown) value->kind = ValueKind::kInput, value->data = {};
    shown.clear();
  }
};

DynamicSteps::DynamicSteps(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {
  const Graph& graph = plan_->graph;
  values_.resize(graph.values.size());
  frames_.resize(plan_->steps.size());
  last_read_.resize(plan_->steps.size());
  std::vector<size_t> last(graph.values.size(), SIZE_MAX);
  for (size_t s = 0; s < plan_->steps.size(); ++s)
    for (ValueId id : graph.nodes[static_cast<size_t>(plan_->steps[s].node)].inputs)
      if (id != kNoValue) last[static_cast<size_t>(id)] = s;
  for (ValueId id : graph.outputs) last[static_cast<size_t>(id)] = SIZE_MAX;
  for (size_t i = 0; i < last.size(); ++i)
    // Text made by kernels points into text that came before it: it all stays until the end.
    if (last[i] != SIZE_MAX && plan_->dynamic[i] && graph.values[i].type.dtype != DType::kString)
      last_read_[last[i]].push_back(static_cast<ValueId>(i));
  for (const auto& [place, body] : plan_->bodies) bodies_.emplace(place, std::make_unique<Executor>(body));
}

DynamicSteps::~DynamicSteps() = default;

int64_t DynamicSteps::peak_bytes() const {
  int64_t bytes = live_.peak();
  for (const auto& [place, body] : bodies_) bytes += body->plan().host.arena + body->plan().host.workspace;
  return bytes;
}

void DynamicSteps::begin() {
  live_.clear();
  for (RunValue& value : values_)
    if (value.dtype != DType::kUndefined) value = {};
}

void DynamicSteps::run(size_t step, Inputs planned, const KernelContext& context, const StopCheck* stop) {
  const Node& node = plan_->graph.nodes[static_cast<size_t>(plan_->steps[step].node)];
  if (is_evaluated(plan_->graph, node)) {
    evaluate(step, node, planned, context, stop);
  } else {
    std::vector<ConstTensorView> inputs(planned.begin(), planned.end());
    for (size_t i = 0; i < inputs.size(); ++i)
      if (plan_->is_dynamic(node.inputs[i])) inputs[i] = std::as_const(value(node.inputs[i]).tensor).view();
    if (!frames_[step]) frames_[step] = std::make_unique<Frame>(plan_->graph, node);
    run_kernel(step, inputs, context);
  }
  for (ValueId id : last_read_[step]) {
    live_.remove(value(id));
    values_[static_cast<size_t>(id)] = {};
  }
}

// The dynamic input whose memory output `o` may take over: a value read here for the last time that alone holds what a kernel made.
ValueId DynamicSteps::taken_over(size_t step, const Node& node, std::span<const ConstTensorView> inputs, size_t o, const Shape& shape) const {
  const DType dtype = plan_->graph.value(node.outputs[o]).type.dtype;
  for (const Alias& alias : node.def->aliases) {
    const auto i = static_cast<size_t>(alias.input);
    if (alias.kind != AliasKind::kMay || alias.output != static_cast<int>(o) || i >= inputs.size() || node.inputs[i] == kNoValue) continue;
    const ValueId from = node.inputs[i];
    if (std::ranges::find(last_read_[step], from) == last_read_[step].end() || std::ranges::count(node.inputs, from) > 1) continue;
    if (inputs[i].shape == shape && inputs[i].dtype == dtype && live_.is_sole(value(from).tensor)) return from;
  }
  return kNoValue;
}

void DynamicSteps::run_kernel(size_t step, std::span<const ConstTensorView> inputs, const KernelContext& context) {
  Frame& frame = *frames_[step];
  const Node& node = plan_->graph.nodes[static_cast<size_t>(plan_->steps[step].node)];
  if (!frame.is_bound || !frame.has_shapes_of(inputs)) frame.bind(inputs, context.threads, plan_->packs.get());
  std::vector<Tensor> outputs(node.outputs.size());
  std::vector<TensorView> views(node.outputs.size());
  const bool view = node.def->cpu == nullptr;
  bool fresh = true;
  int64_t output_bytes = 0;
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (node.outputs[o] == kNoValue) continue;
    const Shape& shape = frame.shapes[static_cast<size_t>(frame.node.outputs[o])];
    if (view) {
      const ValueId from = node.inputs[static_cast<size_t>(node.def->aliases[0].input)];
      const Tensor& tensor = value(from).tensor;
      const bool is_ours = plan_->is_dynamic(from) && !tensor.is_borrowed();
      fresh = !is_ours;
      outputs[o] = (is_ours ? tensor : Tensor::copy_of(inputs[static_cast<size_t>(node.def->aliases[0].input)])).reshaped(shape);
    } else {
      const ValueId from = o == 0 ? taken_over(step, node, inputs, o, shape) : kNoValue;
      outputs[o] = from != kNoValue ? value(from).tensor : Tensor(plan_->graph.value(node.outputs[o]).type.dtype, shape);
      views[o] = outputs[o].view();
      if (from == kNoValue) output_bytes += static_cast<int64_t>(outputs[o].bytes());
    }
  }
  if (!view) {
    if (workspace_.bytes() < frame.kernel.workspace || !workspace_) workspace_ = Tensor(DType::kU8, {static_cast<int64_t>(frame.kernel.workspace)});
    KernelContext own = context;
    own.workspace = {workspace_.view().data, workspace_.bytes()};
    live_.note(output_bytes + static_cast<int64_t>(workspace_.bytes()));
    frame.kernel.run(own, inputs, views);
  }
  for (size_t o = 0; o < outputs.size(); ++o)
    if (node.outputs[o] != kNoValue) keep(node, o, RunValue::of(std::move(outputs[o])), fresh);
}

void DynamicSteps::evaluate(size_t step, const Node& node, Inputs planned, const KernelContext& context, const StopCheck* stop) {
  std::vector<RunValue> inputs(node.inputs.size()), outputs(node.outputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue) continue;
    inputs[i] = plan_->is_dynamic(node.inputs[i]) ? value(node.inputs[i]) : RunValue::of(Tensor::borrow(planned[i]));
  }
  const EvaluateContext::RunSubgraph run_subgraph = [&](std::string_view name, std::span<const RunValue> given) {
    static const StopCheck none;
    Executor& body = *bodies_.at({plan_->steps[step].node, std::string(name)});
    std::vector<RunValue> results = body.run_values(given, stop ? *stop : none);
    live_.note(body.dynamic_peak_bytes() + live_.beside(given));
    return results;
  };
  EvaluateContext evaluation(node, inputs, outputs, context.threads, run_subgraph);
  node.def->evaluate(evaluation);
  for (size_t o = 0; o < outputs.size(); ++o)
    if (node.outputs[o] != kNoValue) keep(node, o, std::move(outputs[o]));
}

// What was made must be what the shape rule promised, and ours: planned memory is soon written again.
void DynamicSteps::keep(const Node& node, size_t output, RunValue made, bool fresh) {
  const TensorType& type = plan_->graph.value(node.outputs[output]).type;
  ensure(made.dtype == type.dtype && made.container == type.container, "an op made another type than its rule says (op, output, made, rule)",
         node.def->name, output, name(made.dtype), name(type.dtype));
  if (made.tensor.is_borrowed()) made.tensor = made.tensor.clone();
  for (Tensor& tensor : made.sequence)
    if (tensor.is_borrowed()) tensor = tensor.clone();
  live_.add(made, fresh);
  values_[static_cast<size_t>(node.outputs[output])] = std::move(made);
}

}  // namespace tandem
