// Concat (ONNX 4 on) joins along an axis; Split cuts along one: sizes as attribute (2, 11) or input (13), or a number of parts
// (18).
#include "kernels/api/movement.h"
#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAxis[] = {"axis"}, kSplit2[] = {"axis", "split"}, kSplit18[] = {"axis", "num_outputs"};

void propagate_content(InferenceContext& node) {
  Dims joined;
  for (int i = 0; i < node.inputs(); ++i) {
    const auto content = node.content(i);
    if (!content) return;
    joined.insert(joined.end(), content->begin(), content->end());
  }
  node.set_content(0, std::move(joined));
}

void infer_concat(InferenceContext& node) {
  node.require(node.has_attribute("axis"), "the attribute axis is required");
  std::optional<Dims> dims;
  std::vector<Dim> lengths;
  for (int i = 0; i < node.inputs(); ++i) {
    node.require_same_dtype(0, i);
    if (!node.has_rank(i)) {
      lengths.push_back({});
      continue;
    }
    const auto axis = static_cast<size_t>(node.normalized_axis(node.get_int("axis", 0), node.rank(i)));
    lengths.push_back(node.dims(i)[axis]);
    if (!dims) dims = node.dims(i);
    node.require(dims->size() == node.dims(i).size(), "inputs have different ranks", to_string(*dims), to_string(node.dims(i)));
    for (size_t a = 0; a < dims->size(); ++a) {
      if (a == axis) continue;
      node.require(!differ((*dims)[a], node.dims(i)[a]), "inputs differ outside the axis", to_string(*dims),
                   to_string(node.dims(i)));
      (*dims)[a] = better((*dims)[a], node.dims(i)[a]);
    }
  }
  if (!dims) return node.set_output(0, node.dtype(0), std::nullopt);
  Dim total(int64_t{0});
  for (const Dim& length : lengths)
    total = total.known() && length.known() ? Dim(checked_add(total.size, length.size, "concat")) : sum(total, length);
  if (lengths.size() == 1) total = lengths[0];
  const bool is_list = dims->size() == 1;
  (*dims)[static_cast<size_t>(node.normalized_axis(node.get_int("axis", 0), static_cast<int>(dims->size())))] = total;
  node.set_output(0, node.dtype(0), std::move(dims));
  if (is_list) propagate_content(node);
}

// The parts of dy by the lengths of the inputs along the axis.
void concat_gradient(GradientContext& node) {
  const int64_t axis = node.normalized_axis(node.get_int("axis", 0), rank_of(node, node.output(0)));
  std::vector<int64_t> sizes;
  bool fixed = true;
  for (int i = 0; i < node.inputs(); ++i) {
    const auto& dims = node.type(node.input(i)).dims;
    const Dim length = dims ? (*dims)[static_cast<size_t>(axis)] : Dim();
    fixed = fixed && length.known();
    sizes.push_back(length.size);
  }
  ValueId split = kNoValue;
  if (fixed) {
    split = node.ints(sizes);
  } else {
    std::vector<ValueId> lengths;
    for (int i = 0; i < node.inputs(); ++i)
      lengths.push_back(node.emit("Shape", {node.input(i)}, {{"start", axis}, {"end", axis + 1}}));
    split = node.emit("Concat", lengths, {{"axis", int64_t{0}}});
  }
  const std::vector<ValueId> parts = node.emit_many("Split", {node.output_grad(), split}, node.inputs(), {{"axis", axis}});
  for (int i = 0; i < node.inputs(); ++i)
    if (node.wants(i)) node.set_input_grad(i, parts[static_cast<size_t>(i)]);
}

template <auto kernel>
BoundKernel bind_concat(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
  return {.run = [axis](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in, axis, out[0]); }};
}

// The lengths of the outputs along the axis; unknown ones where the graph does not tell.
Dims split_lengths(const InferenceContext& node, const Dim& whole) {
  const auto count = static_cast<size_t>(node.outputs());
  if (node.has_input(1) || node.has_attribute("split")) {
    Dims lengths(count);
    if (node.has_input(1))
      lengths = node.content(1).value_or(lengths);
    else
      lengths.clear();
    for (int64_t length : node.get_ints("split")) lengths.push_back(Dim(length));
    node.require(lengths.size() == count, "one size an output is needed (sizes, outputs)", lengths.size(), count);
    if (const auto sizes = fixed_shape(lengths)) {
      int64_t total = 0;
      for (int64_t size : sizes->dims()) total = checked_add(total, size, "split");
      node.require(!whole.known() || total == whole.size, "the sizes do not add up to the dimension", total, whole.size);
    }
    return lengths;
  }
  const int64_t parts = node.get_int("num_outputs", node.outputs());
  node.require(parts == node.outputs(), "num_outputs differs from the number of outputs", parts, node.outputs());
  if (!whole.known()) return Dims(count);
  const bool may_be_uneven = node.has_attribute("num_outputs");
  node.require(may_be_uneven || whole.size % parts == 0, "the dimension does not split into equal parts (size, parts)",
               whole.size, parts);
  const int64_t each = ceil_div(whole.size, parts);
  Dims lengths(count, Dim(each));
  lengths.back() = Dim(whole.size - each * (parts - 1));
  node.require(lengths.back().size >= 0, "more parts than the dimension fills (size, parts)", whole.size, parts);
  return lengths;
}

void infer_split(InferenceContext& node) {
  if (node.has_input(1)) node.require_dtype(1, DType::kI64);
  if (!node.has_rank(0)) {
    for (int i = 0; i < node.outputs(); ++i) node.set_output(i, node.dtype(0), std::nullopt);
    return;
  }
  const auto axis = static_cast<size_t>(node.normalized_axis(node.get_int("axis", 0), node.rank(0)));
  const Dims lengths = split_lengths(node, node.dims(0)[axis]);
  for (int i = 0; i < node.outputs(); ++i) {
    Dims dims = node.dims(0);
    dims[axis] = lengths[static_cast<size_t>(i)];
    node.set_output(i, node.dtype(0), std::move(dims));
  }
}

void split_gradient(GradientContext& node) {
  std::vector<ValueId> parts;
  for (int i = 0; i < node.outputs(); ++i) {
    ValueId grad = node.has_output(i) ? node.output_grad(i) : kNoValue;
    node.require(node.has_output(i), "the gradient needs every output to be there");
    if (grad == kNoValue) {
      const ValueId zero = node.scalar(0, node.type(node.input(0)).dtype);
      grad = node.emit("Expand", {zero, shape_of(node, node.output(i))});
    }
    parts.push_back(grad);
  }
  if (node.wants(0)) node.set_input_grad(0, node.emit("Concat", parts, {{"axis", node.get_int("axis", 0)}}));
}

template <auto kernel>
BoundKernel bind_split(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
  for (int i = 0; i < node.outputs(); ++i) node.require(node.has_output(i), "every output must be there");
  return {.run = [axis](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], axis, out); }};
}

constexpr OpDef split(int since, int until, int inputs, std::span<const std::string_view> attributes) {
  return {.name = "Split",
          .since = since,
          .until = until,
          .max_inputs = inputs,
          .max_outputs = kVariadic,
          .attributes = attributes,
          .infer = infer_split,
          .gradient = split_gradient,
          .cpu = bind_split<cpu::split>,
          .cuda = on_cuda(bind_split<cuda::split>),
          .shape_inputs = input_set(1),
          .elements = Elements::kMoved};
}

constexpr OpDef concat_op = {.name = "Concat",
                             .since = 4,
                             .max_inputs = kVariadic,
                             .attributes = kAxis,
                             .infer = infer_concat,
                             .gradient = concat_gradient,
                             .cpu = bind_concat<cpu::concat>,
                             .cuda = on_cuda(bind_concat<cuda::concat>),
                             .elements = Elements::kMoved};
constexpr OpDef split_op_2 = split(2, 13, 1, kSplit2);
constexpr OpDef split_op_13 = split(13, 18, 2, kAxis);
constexpr OpDef split_op_18 = split(18, std::numeric_limits<int>::max(), 2, kSplit18);

constexpr const OpDef* kOps[] = {&concat_op, &split_op_2, &split_op_13, &split_op_18};

}  // namespace

extern const OpFamily concat_ops;
constinit const OpFamily concat_ops = kOps;

}  // namespace tandem
