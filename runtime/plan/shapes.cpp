#include "runtime/plan/shapes.h"

#include <algorithm>
#include <utility>

#include "runtime/graph/contexts.h"
#include "runtime/graph/node_error.h"
#include "runtime/ops/cpu_types.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

constexpr int64_t kMostElements = 1024;  // of an integer tensor that is taken for a shape

// Calls f<T>() for the types shapes are computed in (bool: exporters choose between shapes); false for another type.
template <class F>
bool visit_shape_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kI64: f.template operator()<int64_t>(); return true;
    case DType::kI32: f.template operator()<int32_t>(); return true;
    case DType::kBool: f.template operator()<bool>(); return true;
    default: return false;
  }
}

class ShapePropagation {
 public:
  explicit ShapePropagation(const Graph& graph)
      : graph_(graph), contents_(graph.values.size()), result_{std::vector<Shape>(graph.values.size()), std::vector<bool>(graph.values.size())} {}

  ResolvedShapes run(std::span<const std::optional<Shape>> inputs) {
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      if (inputs[i])
        graph_.value(graph_.inputs[i]).type.dims = to_dims(*inputs[i]);
      else
        result_.dynamic[static_cast<size_t>(graph_.inputs[i])] = true;
    }
    for (size_t i = 0; i < graph_.values.size(); ++i)
      if (graph_.values[i].kind != ValueKind::kResult && !result_.dynamic[i]) settle(static_cast<ValueId>(i));
    for (const Node& node : graph_.nodes) resolve_naming(node);
    return std::move(result_);
  }

 private:
  bool is_dynamic(ValueId id) const { return id != kNoValue && result_.dynamic[static_cast<size_t>(id)]; }

  void resolve_naming(const Node& node) {
    try {
      resolve(node);
    } catch (const Error& error) {
      throw naming_node(error, node);
    }
  }

  void resolve(const Node& node) {
    bool dynamic = is_evaluated(graph_, node) || std::ranges::any_of(node.inputs, [&](ValueId id) { return is_dynamic(id); });
    if (!dynamic) {
      infer_types(graph_, node, &contents_);
      for (ValueId id : node.outputs) dynamic = dynamic || (id != kNoValue && !settle(id));
    }
    if (!dynamic) {
      compute_content(node);
      return keep_as_constants(node);
    }
    for (ValueId id : node.outputs)
      if (id != kNoValue) result_.dynamic[static_cast<size_t>(id)] = true;
  }

  bool settle(ValueId id) {
    const Value& value = graph_.value(id);
    const auto shape = value.type.dims && value.type.container == Container::kTensor ? fixed_shape(*value.type.dims) : std::nullopt;
    if (shape) result_.shapes[static_cast<size_t>(id)] = *shape;
    return shape.has_value();
  }

  // Runs the kernel of a node whose inputs are all known integers and whose rule did not say the content itself.
  void compute_content(const Node& node) {
    const ValueId out = node.outputs[0];
    if (node.outputs.size() != 1 || out == kNoValue || node.def->cpu == nullptr || node.def->stateful || contents_[static_cast<size_t>(out)]) return;
    const Value& value = graph_.value(out);
    const Shape& shape = result_.shapes[static_cast<size_t>(out)];
    if (shape.rank() > 1 || shape.elements() > kMostElements || !visit_shape_type(value.type.dtype, []<class T>() {})) return;
    std::vector<Tensor> tensors;
    std::vector<ConstTensorView> views;
    for (ValueId id : node.inputs) {
      if (id == kNoValue) {
        views.push_back({});
        continue;
      }
      std::optional<Tensor> known = known_tensor(id);
      if (!known) return;
      tensors.push_back(*known);
      views.push_back(std::as_const(tensors.back()).view());
    }
    Tensor result(value.type.dtype, shape);
    const BoundKernel kernel = node.def->cpu(BindContext(graph_, node, result_.shapes, 1));
    std::vector<std::byte> workspace(kernel.workspace);
    const TensorView output = result.view();
    kernel.run({.workspace = workspace}, views, {&output, 1});
    Dims elements;
    visit_shape_type(result.dtype(), [&]<class T>() {
      for (T v : result.as<T>()) elements.push_back(Dim(static_cast<int64_t>(v)));
    });
    contents_[static_cast<size_t>(out)] = std::move(elements);
  }

  // Here all content is numbers, and -1 is one: the rules of the nodes that read it shall not take it for an unknown dimension.
  void keep_as_constants(const Node& node) {
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      if (const std::optional<Tensor> known = known_tensor(id)) {
        graph_.value(id).data = *known;
        graph_.value(id).kind = ValueKind::kConstant;
      }
    }
  }

  std::optional<Tensor> known_tensor(ValueId id) const {
    const Value& value = graph_.value(id);
    if (value.kind == ValueKind::kConstant) return value.data;
    const auto& content = contents_[static_cast<size_t>(id)];
    if (!content || std::ranges::any_of(*content, [](const Dim& dim) { return !dim.symbol.empty(); })) return std::nullopt;
    Tensor tensor(value.type.dtype, result_.shapes[static_cast<size_t>(id)]);
    if (tensor.elements() != static_cast<int64_t>(content->size())) return std::nullopt;
    const bool known = visit_shape_type(tensor.dtype(), [&]<class T>() {
      std::ranges::transform(*content, tensor.as<T>().begin(), [](const Dim& dim) { return static_cast<T>(dim.size); });
    });
    return known ? std::optional(std::move(tensor)) : std::nullopt;
  }

  Graph graph_;  // a copy: its types are overwritten with numbers (tensors are shared handles)
  InferenceContext::KnownContents contents_;
  ResolvedShapes result_;
};

}  // namespace

ResolvedShapes resolve_shapes(const Graph& graph, std::span<const std::optional<Shape>> inputs) {
  return ShapePropagation(graph).run(inputs);
}

std::map<std::string, int64_t, std::less<>> bounds_of(const Graph& graph, std::span<const Shape> inputs) {
  std::map<std::string, int64_t, std::less<>> bounds;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Value& input = graph.value(graph.inputs[i]);
    for (size_t axis = 0; input.type.dims && axis < input.type.dims->size() && static_cast<int>(axis) < inputs[i].rank(); ++axis) {
      const Dim& dim = (*input.type.dims)[axis];
      if (dim.known()) continue;
      const std::string symbol = dim.symbol.empty() ? input.name + "." + std::to_string(axis) : dim.symbol;
      int64_t& bound = bounds[symbol];
      bound = std::max(bound, inputs[i][static_cast<int>(axis)]);
    }
  }
  return bounds;
}

std::vector<Shape> concrete_shapes(const Graph& graph, std::span<const Shape> inputs) {
  ResolvedShapes resolved = resolve_shapes(graph, std::vector<std::optional<Shape>>(inputs.begin(), inputs.end()));
  const auto found = std::ranges::find(resolved.dynamic, true);
  if (found == resolved.dynamic.end()) return std::move(resolved.shapes);
  const Value& value = graph.values[static_cast<size_t>(found - resolved.dynamic.begin())];
  fail(ErrorCode::kInvalidArgument, "the shape of a value is not known before the run (value, shape)",
       {value.name, value.type.dims ? to_string(*value.type.dims) : "?"});
}

}  // namespace tandem
