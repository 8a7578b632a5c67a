#include "runtime/plan/shapes.h"

#include <algorithm>
#include <utility>

#include "runtime/graph/contexts.h"

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
  explicit ShapePropagation(const Graph& graph) : graph_(graph), contents_(graph.values.size()) {}

  std::vector<Shape> run(std::span<const Shape> inputs) {
    shapes_.resize(graph_.values.size());
    for (size_t i = 0; i < graph_.inputs.size(); ++i) graph_.value(graph_.inputs[i]).type.dims = to_dims(inputs[i]);
    for (size_t i = 0; i < graph_.values.size(); ++i)
      if (graph_.values[i].kind != ValueKind::kResult) settle(static_cast<ValueId>(i), nullptr);
    for (const Node& node : graph_.nodes) {
      infer_types(graph_, node, &contents_);
      for (ValueId id : node.outputs)
        if (id != kNoValue) settle(id, &node);
      compute_content(node);
    }
    return std::move(shapes_);
  }

 private:
  void settle(ValueId id, const Node* node) {
    const Value& value = graph_.value(id);
    const auto shape = value.type.dims ? fixed_shape(*value.type.dims) : std::nullopt;
    if (!shape)
      fail(ErrorCode::kInvalidArgument, "the shape of a value is not known before the run (value, shape, node)",
           {value.name, value.type.dims ? to_string(*value.type.dims) : "?", node ? node->name : "-"});
    shapes_[static_cast<size_t>(id)] = *shape;
  }

  // Runs the kernel of a node whose inputs are all known integers and whose rule did not say the content itself.
  void compute_content(const Node& node) {
    const ValueId out = node.outputs[0];
    if (node.outputs.size() != 1 || node.def->cpu == nullptr || node.def->stateful || contents_[static_cast<size_t>(out)]) return;
    const Value& value = graph_.value(out);
    const Shape& shape = shapes_[static_cast<size_t>(out)];
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
    const BoundKernel kernel = node.def->cpu(BindContext(graph_, node, shapes_, 1));
    std::vector<std::byte> workspace(kernel.workspace);
    const TensorView output = result.view();
    kernel.run({.workspace = workspace}, views, {&output, 1});
    Dims elements;
    visit_shape_type(result.dtype(), [&]<class T>() {
      for (T v : result.as<T>()) elements.push_back(Dim(static_cast<int64_t>(v)));
    });
    contents_[static_cast<size_t>(out)] = std::move(elements);
  }

  std::optional<Tensor> known_tensor(ValueId id) const {
    const Value& value = graph_.value(id);
    if (value.kind == ValueKind::kConstant) return value.data;
    const auto& content = contents_[static_cast<size_t>(id)];
    if (!content || std::ranges::any_of(*content, [](const Dim& dim) { return !dim.symbol.empty(); })) return std::nullopt;
    Tensor tensor(value.type.dtype, shapes_[static_cast<size_t>(id)]);
    const bool known = visit_shape_type(tensor.dtype(), [&]<class T>() {
      std::ranges::transform(*content, tensor.as<T>().begin(), [](const Dim& dim) { return static_cast<T>(dim.size); });
    });
    return known ? std::optional(std::move(tensor)) : std::nullopt;
  }

  Graph graph_;  // a copy: its types are overwritten with numbers (tensors are shared handles)
  InferenceContext::KnownContents contents_;
  std::vector<Shape> shapes_;
};

}  // namespace

std::vector<Shape> concrete_shapes(const Graph& graph, std::span<const Shape> inputs) {
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
      bounds[symbol] = std::max({bounds[symbol], int64_t{1}, inputs[i][static_cast<int>(axis)]});
    }
  }
  return bounds;
}

}  // namespace tandem
