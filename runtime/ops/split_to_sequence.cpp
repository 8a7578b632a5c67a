// SplitToSequence (ONNX 11; 24 adds types) cuts a tensor into a sequence, ConcatFromSequence (11) joins one.
#include <algorithm>

#include "kernels/api/movement.h"
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/body.h"
#include "runtime/ops/element_types.h"

namespace tandem {
namespace {

constexpr std::string_view kSplit[] = {"axis", "keepdims"}, kConcat[] = {"axis", "new_axis"};

// Elements of text are views: what is moved gets text of its own.
Tensor with_own_text(Tensor tensor) { return tensor.dtype() == DType::kString ? tensor.clone() : tensor; }

void infer_split(InferenceContext& node) {
  node.require_tensor(0);
  if (node.has_input(1)) require_index(node, 1);
  TensorType part{node.dtype(0), std::nullopt, Container::kSequence};
  if (node.has_rank(0)) {
    part.dims = node.dims(0);
    const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
    if (!node.has_input(1) && node.get_int("keepdims", 1) == 0)
      part.dims->erase(part.dims->begin() + axis);
    else
      (*part.dims)[static_cast<size_t>(axis)] = node.has_input(1) ? Dim() : Dim(1);
  }
  node.set_output_type(0, std::move(part));
}

// The lengths of the parts along an axis of this length.
std::vector<int64_t> lengths_of(const EvaluateContext& node, int64_t length) {
  std::vector<int64_t> given;
  if (node.has_input(1)) {
    const Tensor& split = node.tensor(1);
    if (split.dtype() == DType::kI32)
      given.assign(split.as<int32_t>().begin(), split.as<int32_t>().end());
    else
      given.assign(split.as<int64_t>().begin(), split.as<int64_t>().end());
    node.require(split.shape().rank() <= 1, "split must be a number or a list (rank)", split.shape().rank());
    if (split.shape().rank() == 1) {
      int64_t total = 0;
      for (int64_t part : given) {
        node.require(part >= 0, "the length of a part is negative", part);
        total = checked_add(total, part, "split");
      }
      node.require(total == length, "the lengths of the parts do not add up to the dimension (sum, dimension)", total, length);
      return given;
    }
  }
  const int64_t each = given.empty() ? 1 : given[0];
  node.require(each > 0, "the length of the parts must be positive", each);
  std::vector<int64_t> lengths(static_cast<size_t>(ceil_div(length, each)), each);
  if (!lengths.empty()) lengths.back() = length - each * (static_cast<int64_t>(lengths.size()) - 1);
  return lengths;
}

void evaluate_split(EvaluateContext& node) {
  const Tensor& x = node.tensor(0);
  const int axis = node.normalized_axis(node.get_int("axis", 0), x.shape().rank());
  std::vector<Tensor> parts;
  std::vector<TensorView> views;
  for (int64_t length : lengths_of(node, x.shape()[axis])) {
    Shape shape = x.shape();
    shape.set(axis, length);
    parts.emplace_back(x.dtype(), shape);
    views.push_back(parts.back().view());
  }
  if (!parts.empty()) cpu::split({.threads = node.threads()}, x.view(), axis, views);
  const bool drops_axis = !node.has_input(1) && node.get_int("keepdims", 1) == 0;
  for (Tensor& part : parts) {
    part = with_own_text(std::move(part));
    if (!drops_axis) continue;
    std::vector<int64_t> dims(part.shape().dims().begin(), part.shape().dims().end());
    dims.erase(dims.begin() + axis);
    part = part.reshaped(Shape(dims));
  }
  node.set_output(0, RunValue::of(x.dtype(), std::move(parts)));
}

void infer_concat(InferenceContext& node) {
  node.require(node.type(0).container == Container::kSequence, "input must be a sequence");
  node.require(node.has_attribute("axis"), "the attribute axis is required");
  const bool new_axis = node.get_int("new_axis", 0) != 0;
  if (!node.type(0).dims) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims dims = *node.type(0).dims;
  const int axis = node.normalized_axis(node.get_int("axis", 0), static_cast<int>(dims.size()) + new_axis);
  if (new_axis)
    dims.insert(dims.begin() + axis, Dim());
  else
    dims[static_cast<size_t>(axis)] = Dim();
  node.set_output(0, node.dtype(0), std::move(dims));
}

void evaluate_concat(EvaluateContext& node) {
  const std::vector<Tensor>& parts = node.input(0).sequence;
  node.require(!parts.empty(), "an empty sequence cannot be joined: its shape is not known");
  const Shape& first = parts[0].shape();
  const bool new_axis = node.get_int("new_axis", 0) != 0;
  const int axis = node.normalized_axis(node.get_int("axis", 0), first.rank() + new_axis);
  if (new_axis) return node.set_output(0, stack(parts, axis, {}));
  Shape shape = first;
  shape.set(axis, 0);
  std::vector<ConstTensorView> views;
  for (const Tensor& part : parts) {
    bool fits = part.shape().rank() == first.rank();
    for (int a = 0; fits && a < first.rank(); ++a) fits = a == axis || part.shape()[a] == first[a];
    node.require(fits, "tensors of the sequence differ outside the axis (shape, first)", to_string(part.shape()),
                 to_string(first));
    shape.set(axis, checked_add(shape[axis], part.shape()[axis], "concat"));
    views.push_back(part.view());
  }
  Tensor whole(parts[0].dtype(), Shape(shape.dims()));
  cpu::concat({.threads = node.threads()}, views, axis, whole.view());
  node.set_output(0, with_own_text(std::move(whole)));
}

constexpr OpDef split_to_sequence_op = {.name = "SplitToSequence",
                                        .since = 11,
                                        .max_inputs = 2,
                                        .attributes = kSplit,
                                        .infer = infer_split,
                                        .evaluate = evaluate_split};
constexpr OpDef concat_from_sequence_op = {
    .name = "ConcatFromSequence", .since = 11, .attributes = kConcat, .infer = infer_concat, .evaluate = evaluate_concat};

constexpr const OpDef* kOps[] = {&split_to_sequence_op, &concat_from_sequence_op};

}  // namespace

extern const OpFamily split_to_sequence_ops;
constinit const OpFamily split_to_sequence_ops = kOps;

}  // namespace tandem
