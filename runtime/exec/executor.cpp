#include "runtime/exec/executor.h"

#include <algorithm>
#include <optional>

#include "runtime/exec/profiler.h"
#include "runtime/graph/nearest_name.h"
#include "runtime/plan/shapes.h"

namespace tandem {
namespace {

constexpr size_t kMostBindings = 64;  // sets of input shapes kept; the one unused for longest is dropped

[[noreturn]] void reject_input(const Value& input, std::string_view what, std::string_view has, std::string_view wants) {
  fail(ErrorCode::kInvalidArgument,
       "input '" + input.name + "' " + std::string(what) + " " + std::string(has) + ", the model takes " + std::string(wants));
}

}  // namespace

Tensor& StateStore::get_or_add(const std::string& name, const Tensor& initial) {
  const auto found = states_.find(name);
  if (found == states_.end()) return states_.emplace(name, initial.clone()).first->second;
  require(found->second.dtype() == initial.dtype() && found->second.shape() == initial.shape(),
          "a state is there with another type or shape (name, has, expected)", name, to_string(found->second.shape()),
          to_string(initial.shape()));
  return found->second;
}

Tensor* StateStore::find(std::string_view name) {
  const auto found = states_.find(name);
  return found == states_.end() ? nullptr : &found->second;
}

// All views of one run, step by step, for one set of input shapes. Only the addresses of the inputs change from run to run.
struct Executor::Binding {
  std::vector<Shape> input_shapes;
  std::vector<ConstTensorView> inputs;  // of all steps, one after the other
  std::vector<TensorView> outputs;
  std::vector<ConstTensorView> results;  // of the graph
  struct StepViews {
    size_t first_input, input_count, first_output, output_count;
  };
  std::vector<StepViews> steps;
  // Views into the caller's memory, patched before each run.
  struct Patch {
    std::vector<ConstTensorView>* list;
    size_t at;
    size_t input;
    int64_t offset;
  };
  std::vector<Patch> patches;
  // Outputs that are views of an input: their kernels write other outputs only, but see by the address that nothing is to be done
  // here.
  struct OutputPatch {
    size_t at;
    size_t input;
    int64_t offset;
  };
  std::vector<OutputPatch> output_patches;
};

Executor::Executor(std::shared_ptr<const Plan> plan, ExecutorOptions options)
    : plan_(std::move(plan)),
      states_(options.states ? options.states : std::make_shared<StateStore>()),
      options_(std::move(options)) {
  arena_ = Tensor(DType::kU8, {plan_->arena_bytes});
  workspace_ = Tensor(DType::kU8, {plan_->workspace_bytes});
  for (const Value& value : plan_->graph.values)
    if (value.kind == ValueKind::kState) states_->get_or_add(value.name, value.data);
}

Executor::~Executor() = default;

namespace {

void check_input(const Plan& plan, const Value& input, const ConstTensorView& given) {
  if (given.dtype != input.type.dtype) reject_input(input, "is", name(given.dtype), name(input.type.dtype));
  const Dims& dims = *input.type.dims;
  bool fits = given.shape.rank() == static_cast<int>(dims.size());
  for (size_t axis = 0; fits && axis < dims.size(); ++axis)
    fits = !dims[axis].known() || dims[axis].size == given.shape[static_cast<int>(axis)];
  if (!fits) reject_input(input, "has shape", to_string(given.shape), to_string(dims));
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis].known()) continue;
    const int64_t bound = plan.bounds.at(dims[axis].symbol), size = given.shape[static_cast<int>(axis)];
    require(size <= bound, "a dimension is over the bound it was planned for (input, dimension, size, bound)", input.name,
            dims[axis].symbol, size, bound);
  }
}

// One symbol has one size in all inputs.
void check_symbols(const Plan& plan, std::span<const ConstTensorView> inputs) {
  std::map<std::string_view, int64_t> sizes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = plan.graph.value(plan.graph.inputs[i]);
    for (size_t axis = 0; axis < input.type.dims->size(); ++axis) {
      const Dim& dim = (*input.type.dims)[axis];
      if (dim.known()) continue;
      const int64_t size = inputs[i].shape[static_cast<int>(axis)];
      const auto [known, is_new] = sizes.try_emplace(dim.symbol, size);
      require(known->second == size, "inputs disagree on a dimension (dimension, size, input, its size)", dim.symbol,
              known->second, input.name, size);
    }
  }
}

}  // namespace

Executor::Binding& Executor::bind(std::span<const ConstTensorView> inputs) {
  const Graph& graph = plan_->graph;
  require(inputs.size() == graph.inputs.size(), "wrong number of inputs (given, expected)", inputs.size(), graph.inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = graph.value(graph.inputs[i]);
    if (inputs[i].dtype != input.type.dtype) reject_input(input, "is", name(inputs[i].dtype), name(input.type.dtype));
  }
  const auto same = [&](const auto& binding) {
    return std::ranges::equal(binding->input_shapes, inputs, {}, {}, [](const ConstTensorView& v) { return v.shape; });
  };
  if (const auto found = std::ranges::find_if(bindings_, same); found != bindings_.end()) {
    std::rotate(bindings_.begin(), found, found + 1);  // most recently used first
    return *bindings_.front();
  }
  for (size_t i = 0; i < inputs.size(); ++i) check_input(*plan_, graph.value(graph.inputs[i]), inputs[i]);
  check_symbols(*plan_, inputs);
  if (bindings_.size() == kMostBindings) bindings_.pop_back();
  bindings_.insert(bindings_.begin(), make_binding(inputs));
  return *bindings_.front();
}

std::unique_ptr<Executor::Binding> Executor::make_binding(std::span<const ConstTensorView> inputs) {
  const Graph& graph = plan_->graph;
  auto binding = std::make_unique<Binding>();
  for (const ConstTensorView& input : inputs) binding->input_shapes.push_back(input.shape);
  const std::vector<Shape> shapes = concrete_shapes(graph, binding->input_shapes);
  const auto address = [&](ValueId id) -> std::byte* {
    const BufferPlan& buffer = plan_->buffers[static_cast<size_t>(id)];
    switch (buffer.placement) {
      case Placement::kArena: return arena_.view().data + buffer.offset;
      case Placement::kState: return states_->find(graph.value(buffer.root).name)->view().data + buffer.offset;
      case Placement::kConstant: return const_cast<std::byte*>(graph.value(buffer.root).data.view().data) + buffer.offset;
      default: return nullptr;  // the caller's: patched before each run
    }
  };
  const auto view = [&](ValueId id) -> TensorView {
    if (id == kNoValue) return {};
    const Value& value = graph.value(id);
    const Shape& shape = shapes[static_cast<size_t>(id)];
    const auto bytes = shape.elements() * static_cast<int64_t>(size_of(value.type.dtype));
    require(bytes <= plan_->buffers[static_cast<size_t>(id)].bytes,
            "a value is larger than at the bounds of the plan (value, shape)", value.name, to_string(shape));
    return {address(id), value.type.dtype, shape};
  };
  const auto input_behind = [&](ValueId id) -> std::optional<size_t> {
    if (id == kNoValue || plan_->buffers[static_cast<size_t>(id)].placement != Placement::kInput) return std::nullopt;
    return static_cast<size_t>(std::ranges::find(graph.inputs, plan_->buffers[static_cast<size_t>(id)].root) -
                               graph.inputs.begin());
  };
  const auto offset = [&](ValueId id) { return plan_->buffers[static_cast<size_t>(id)].offset; };
  const auto add = [&](std::vector<ConstTensorView>& list, ValueId id) {
    list.push_back(view(id));
    if (const auto input = input_behind(id)) binding->patches.push_back({&list, list.size() - 1, *input, offset(id)});
  };
  const auto add_output = [&](ValueId id) {
    binding->outputs.push_back(view(id));
    if (const auto input = input_behind(id)) binding->output_patches.push_back({binding->outputs.size() - 1, *input, offset(id)});
  };
  for (const Step& step : plan_->steps) {
    const Node& node = graph.nodes[static_cast<size_t>(step.node)];
    binding->steps.push_back({binding->inputs.size(), node.inputs.size(), binding->outputs.size(), node.outputs.size()});
    for (ValueId id : node.inputs) add(binding->inputs, id);
    for (ValueId id : node.outputs) add_output(id);
  }
  for (ValueId id : graph.outputs) add(binding->results, id);
  return binding;
}

std::span<const ConstTensorView> Executor::run(std::span<const ConstTensorView> inputs) {
  Binding& binding = bind(inputs);
  for (const Binding::Patch& patch : binding.patches) (*patch.list)[patch.at].data = inputs[patch.input].data + patch.offset;
  for (const Binding::OutputPatch& patch : binding.output_patches)
    binding.outputs[patch.at].data = const_cast<std::byte*>(inputs[patch.input].data) + patch.offset;
  const KernelContext context{.threads = plan_->options.threads,
                              .communicator = options_.communicator,
                              .workspace = {workspace_.view().data, static_cast<size_t>(plan_->workspace_bytes)}};
  for (size_t s = 0; s < plan_->steps.size(); ++s) {
    const Step& step = plan_->steps[s];
    if (!step.kernel.run) continue;
    const Binding::StepViews& views = binding.steps[s];
    const Inputs step_inputs(binding.inputs.data() + views.first_input, views.input_count);
    const Outputs step_outputs(binding.outputs.data() + views.first_output, views.output_count);
    if (options_.profiler) [[unlikely]] {
      const auto span = options_.profiler->measure(plan_->graph.nodes[static_cast<size_t>(step.node)]);
      step.kernel.run(context, step_inputs, step_outputs);
    } else {
      step.kernel.run(context, step_inputs, step_outputs);
    }
  }
  return binding.results;
}

}  // namespace tandem
