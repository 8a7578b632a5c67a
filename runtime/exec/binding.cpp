#include "runtime/exec/binding.h"

#include <algorithm>
#include <map>
#include <optional>

#include "runtime/device/device.h"
#include "runtime/plan/shapes.h"

namespace tandem {
namespace {

[[noreturn]] void reject_input(const Value& input, std::string_view what, std::string_view has, std::string_view wants) {
  fail(ErrorCode::kInvalidArgument,
       "input '" + input.name + "' " + std::string(what) + " " + std::string(has) + ", the model takes " + std::string(wants));
}

void check_input(const Plan& plan, const Value& input, const ConstTensorView& given) {
  if (given.dtype != input.type.dtype) reject_input(input, "is", name(given.dtype), name(input.type.dtype));
  if (!input.type.dims || plan.options.dynamic_inputs) return;
  const Dims& dims = *input.type.dims;
  bool fits = given.shape.rank() == static_cast<int>(dims.size());
  for (size_t axis = 0; fits && axis < dims.size(); ++axis)
    fits = !dims[axis].known() || dims[axis].size == given.shape[static_cast<int>(axis)];
  if (!fits) reject_input(input, "has shape", to_string(given.shape), to_string(dims));
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis].known()) continue;
    const auto bound_of = plan.bounds.find(dims[axis].symbol);
    if (bound_of == plan.bounds.end()) continue;  // a dynamic input
    const int64_t bound = bound_of->second, size = given.shape[static_cast<int>(axis)];
    require(size <= bound, "a dimension is over the bound it was planned for (input, dimension, size, bound)", input.name,
            dims[axis].symbol, size, bound);
  }
}

// One symbol has one size in all inputs.
void check_symbols(const Plan& plan, std::span<const ConstTensorView> inputs) {
  std::map<std::string_view, int64_t> sizes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = plan.graph.value(plan.graph.inputs[i]);
    if (plan.is_dynamic(plan.graph.inputs[i])) continue;
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

class BindingBuilder {
 public:
  BindingBuilder(const Plan& plan, std::span<const ConstTensorView> inputs, const Memories& memories)
      : plan_(plan), graph_(plan.graph), memories_(memories), binding_(std::make_unique<Binding>()) {
    std::vector<std::optional<Shape>> shapes;
    for (size_t i = 0; i < inputs.size(); ++i) {
      binding_->input_shapes.push_back(inputs[i].shape);
      if (plan.is_dynamic(graph_.inputs[i]))
        shapes.emplace_back();
      else
        shapes.emplace_back(inputs[i].shape);
    }
    shapes_ = resolve_shapes(graph_, shapes).shapes;
  }

  std::unique_ptr<Binding> build() {
    for (const Step& step : plan_.steps) {
      const Node& node = graph_.nodes[static_cast<size_t>(step.node)];
      binding_->steps.push_back({binding_->inputs.size(), node.inputs.size(), binding_->outputs.size(), node.outputs.size()});
      for (ValueId id : node.inputs) add(binding_->inputs, binding_->input_patches, id);
      for (ValueId id : node.outputs) add(binding_->outputs, binding_->output_patches, id);
    }
    for (ValueId id : graph_.outputs) add(binding_->results, binding_->result_patches, id);
    return std::move(binding_);
  }

 private:
  const BufferPlan& buffer(ValueId id) const { return plan_.buffers[static_cast<size_t>(id)]; }

  std::byte* address(ValueId id) const {
    const BufferPlan& b = buffer(id);
    const auto within = [&](std::byte* start) { return start ? start + b.offset : nullptr; };
    switch (b.placement) {
      case Placement::kArena: return within(b.space == Space::kHost ? memories_.host_arena : memories_.device_arena);
      case Placement::kFeed: return within(memories_.feeds);
      case Placement::kState: return within(memories_.state(b.root, b.space));
      case Placement::kConstant: return within(memories_.constant(b.root, b.space));
      default: return nullptr;  // the caller's: patched before each run
    }
  }

  TensorView view(ValueId id) {
    if (id == kNoValue || plan_.is_dynamic(id)) return {};
    const Value& value = graph_.value(id);
    const Shape& shape = shapes_[static_cast<size_t>(id)];
    const auto bytes = shape.elements() * static_cast<int64_t>(size_of(value.type.dtype));
    if (bytes > buffer(id).bytes && binding_->too_large == kNoValue) binding_->too_large = id;
    return {address(id), value.type.dtype, shape};
  }

  template <class View>
  void add(std::vector<View>& list, std::vector<Binding::Patch>& patches, ValueId id) {
    list.push_back(view(id));
    if (id == kNoValue || buffer(id).placement != Placement::kInput) return;
    const auto input = static_cast<size_t>(std::ranges::find(graph_.inputs, buffer(id).root) - graph_.inputs.begin());
    patches.push_back({list.size() - 1, input, buffer(id).offset});
  }

  const Plan& plan_;
  const Graph& graph_;
  const Memories& memories_;
  std::unique_ptr<Binding> binding_;
  std::vector<Shape> shapes_;
};

}  // namespace

Binding::Binding() = default;
Binding::~Binding() = default;

void Binding::patch(std::span<const ConstTensorView> given) {
  for (const Patch& p : input_patches) inputs[p.at].data = given[p.input].data + p.offset;
  for (const Patch& p : result_patches) results[p.at].data = given[p.input].data + p.offset;
  for (const Patch& p : output_patches) outputs[p.at].data = const_cast<std::byte*>(given[p.input].data) + p.offset;
}

void check_inputs(const Plan& plan, std::span<const ConstTensorView> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = plan.graph.value(plan.graph.inputs[i]);
    if (input.type.container == Container::kTensor) check_input(plan, input, inputs[i]);
  }
  check_symbols(plan, inputs);
}

std::unique_ptr<Binding> make_binding(const Plan& plan, std::span<const ConstTensorView> inputs, const Memories& memories) {
  return BindingBuilder(plan, inputs, memories).build();
}

}  // namespace tandem
