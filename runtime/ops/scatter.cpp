// ScatterElements (ONNX 11 on; Scatter 9 is its old name), ScatterND (11 on) and GatherND (11 on): elements, or slices, written
// to and read from places that an index tensor names. Reductions came with 16 (add, mul) and 18 (min, max).
//
// Gradients: what was overwritten gets none; an update gets that of its place, with min and max where it is what stands there,
// with mul times all else that was multiplied. The gradient of GatherND sums what went to several places: tandem.GatherNDGrad
// (dy, indices, shape of x).
#include "kernels/api/scatter.h"

#include <algorithm>

#include "kernels/api/gather.h"
#include "kernels/api/movement.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAxis[] = {"axis"}, kAxisAndReduction[] = {"axis", "reduction"}, kReduction[] = {"reduction"},
                           kBatchDims[] = {"batch_dims"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr int kLatest = std::numeric_limits<int>::max();

ScatterReduction reduction_of(const NodeContext& node) {
  const std::string name = node.get_string("reduction", "none");
  if (name == "none") return ScatterReduction::kNone;
  if (name == "add") return ScatterReduction::kAdd;
  if (name == "mul") return ScatterReduction::kMul;
  if (name == "min") return ScatterReduction::kMin;
  node.require(name == "max", "reduction must be none, add, mul, min or max", name);
  return ScatterReduction::kMax;
}

void infer_scatter(InferenceContext& node) {
  node.require_same_dtype(0, 2);
  if (reduction_of(node) != ScatterReduction::kNone) node.require_number(0);
  node.set_output_like(0, 0);
}

void infer_scatter_elements(InferenceContext& node) {
  require_index(node, 1);
  infer_scatter(node);
  if (!node.has_rank(0)) return;
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
  for (int input : {1, 2}) {
    if (!node.has_rank(input)) continue;
    node.require(node.rank(input) == node.rank(0), "inputs have different ranks (input, rank, data)", input, node.rank(input),
                 node.rank(0));
    for (int a = 0; a < node.rank(0); ++a) {
      const Dim &data = node.dims(0)[static_cast<size_t>(a)], &index = node.dims(input)[static_cast<size_t>(a)];
      node.require(a == axis || !data.known() || !index.known() || index.size <= data.size,
                   "indices or updates are larger than the data (axis, size, data)", a, index.size, data.size);
    }
  }
  if (!node.has_rank(1) || !node.has_rank(2)) return;
  for (size_t a = 0; a < node.dims(1).size(); ++a)
    node.require(!differ(node.dims(1)[a], node.dims(2)[a]), "indices and updates must have one shape", to_string(node.dims(1)),
                 to_string(node.dims(2)));
}

// indices.shape[:-1] + data.shape[batch_dims + width:]; nothing if ranks or the width are open.
std::optional<Dims> slices_dims(const InferenceContext& node, int batch_dims) {
  node.require_dtype(1, DType::kI64);
  if (!node.has_rank(1)) return std::nullopt;
  node.require(node.rank(1) >= 1, "indices need at least one axis");
  if (!node.has_rank(0)) return std::nullopt;
  const Dims &data = node.dims(0), &indices = node.dims(1);
  node.require(batch_dims >= 0 && batch_dims < node.rank(1) && batch_dims < std::max(1, node.rank(0)),
               "batch_dims must be below both ranks (batch_dims, data, indices)", batch_dims, node.rank(0), node.rank(1));
  for (int a = 0; a < batch_dims; ++a)
    node.require(!differ(data[static_cast<size_t>(a)], indices[static_cast<size_t>(a)]),
                 "data and indices differ in a batch axis", a);
  if (!indices.back().known()) return std::nullopt;
  const int64_t first = batch_dims + indices.back().size;
  node.require(first <= node.rank(0), "the tuples of indices are longer than the data has axes (last axis, rank of the data)",
               indices.back().size, node.rank(0));
  Dims dims(indices.begin(), indices.end() - 1);
  dims.insert(dims.end(), data.begin() + first, data.end());
  return dims;
}

void infer_gather_nd(InferenceContext& node) {
  node.set_output(0, node.dtype(0), slices_dims(node, static_cast<int>(node.get_int("batch_dims", 0))));
}

void infer_scatter_nd(InferenceContext& node) {
  infer_scatter(node);
  const auto dims = slices_dims(node, 0);
  if (!dims || !node.has_rank(2)) return;
  const Dims& updates = node.dims(2);
  const bool fits = std::ranges::equal(*dims, updates, [](const Dim& a, const Dim& b) { return !differ(a, b); });
  node.require(fits, "updates have another shape than the slices that indices name (updates, slices)", to_string(updates),
               to_string(*dims));
}

void infer_gather_nd_grad(InferenceContext& node) {
  node.require_float(0);
  node.set_output(0, node.dtype(0), node.content(2));
}

BoundKernel bind_scatter_elements(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
  return {.run = [axis, reduction = reduction_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::copy(context, in[0], out[0]);
    cpu::scatter_elements(context, in[1], in[2], axis, reduction, out[0]);
  }};
}

BoundKernel bind_scatter_nd(const BindContext& node) {
  return {.run = [reduction = reduction_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::copy(context, in[0], out[0]);
    cpu::scatter_nd(context, in[1], in[2], 0, reduction, out[0]);
  }};
}

BoundKernel bind_gather_nd(const BindContext& node) {
  return {.run = [batch_dims = static_cast<int>(node.get_int("batch_dims", 0))](const KernelContext& context, Inputs in,
                                                                                Outputs out) {
    cpu::gather_nd(context, in[0], in[1], batch_dims, out[0]);
  }};
}

BoundKernel bind_gather_nd_grad(const BindContext& node) {
  return {.run = [batch_dims = static_cast<int>(node.get_int("batch_dims", 0))](const KernelContext& context, Inputs in,
                                                                                Outputs out) {
    std::fill_n(out[0].data, out[0].bytes(), std::byte{0});
    cpu::scatter_nd(context, in[1], in[0], batch_dims, ScatterReduction::kAdd, out[0]);
  }};
}

void gather_nd_gradient(GradientContext& node) {
  if (!node.wants(0)) return;
  node.set_input_grad(0, node.emit_internal("GatherNDGrad", {node.output_grad(), node.input(1), shape_of(node, node.input(0))},
                                            {{"batch_dims", node.get_int("batch_dims", 0)}}));
}

// dy where a equals b, else 0.
ValueId masked(GradientContext& node, ValueId dy, ValueId a, ValueId b) {
  return node.emit("Where", {node.emit("Equal", {a, b}), dy, node.scalar(0, node.type(dy).dtype)});
}

ValueId filled(GradientContext& node, double value, ValueId like) {
  return node.emit("Expand", {node.scalar(value, node.type(like).dtype), shape_of(node, like)});
}

// A factor's gradient is the product of all others: the product without zeros divided by the factor, where no other factor is 0.
void product_gradient(GradientContext& node, std::string_view read, const Attributes& axis) {
  const ValueId dy = node.output_grad(), data = node.input(0), indices = node.input(1), updates = node.input(2);
  const auto scatter = [&](ValueId onto, ValueId what, std::string_view reduction) {
    Attributes attributes = axis;
    attributes["reduction"] = std::string(reduction);
    return node.emit(read == "GatherElements" ? "ScatterElements" : "ScatterND", {onto, indices, what}, std::move(attributes));
  };
  if (node.wants(0)) node.set_input_grad(0, node.emit("Mul", {dy, scatter(filled(node, 1, data), updates, "mul")}));
  if (!node.wants(2)) return;
  const DType dtype = node.type(updates).dtype;
  const ValueId zero = node.scalar(0, dtype), is_zero = node.emit("Equal", {updates, zero});
  const ValueId factor = node.emit("Where", {is_zero, node.scalar(1, dtype), updates});
  const ValueId counted = node.emit("Cast", {is_zero}, {{"to", static_cast<int64_t>(dtype)}});
  const ValueId zeros = node.emit(read, {scatter(filled(node, 0, data), counted, "add"), indices}, axis);
  const ValueId others = node.emit("Div", {node.emit(read, {scatter(data, factor, "mul"), indices}, axis), factor});
  const ValueId grad = node.emit("Mul", {node.emit(read, {dy, indices}, axis), others});
  node.set_input_grad(2, node.emit("Where", {node.emit("Equal", {zeros, counted}), grad, zero}));
}

// Both scatters: `read` is the op that reads what was written.
void scatter_gradient(GradientContext& node, std::string_view read) {
  const ScatterReduction reduction = reduction_of(node);
  const bool selects = reduction == ScatterReduction::kMin || reduction == ScatterReduction::kMax;
  const ValueId dy = node.output_grad(), indices = node.input(1);
  Attributes axis;
  if (read == "GatherElements") axis = {{"axis", node.get_int("axis", 0)}};
  if (reduction == ScatterReduction::kMul) return product_gradient(node, read, axis);
  if (node.wants(0)) {
    ValueId grad = dy;
    if (reduction == ScatterReduction::kNone) {
      grad = node.emit(read == "GatherElements" ? "ScatterElements" : "ScatterND", {dy, indices, filled(node, 0, node.input(2))},
                       axis);
    } else if (selects) {
      grad = masked(node, dy, node.input(0), node.output(0));
    }
    node.set_input_grad(0, grad);
  }
  if (node.wants(2)) {
    ValueId grad = node.emit(read, {dy, indices}, axis);
    if (selects) grad = masked(node, grad, node.input(2), node.emit(read, {node.output(0), indices}, axis));
    node.set_input_grad(2, grad);
  }
}
void scatter_elements_gradient(GradientContext& node) { scatter_gradient(node, "GatherElements"); }
void scatter_nd_gradient(GradientContext& node) { scatter_gradient(node, "GatherND"); }

constexpr OpDef scatter_elements(std::string_view name, int since, int until, std::span<const std::string_view> attributes) {
  return {.name = name,
          .since = since,
          .until = until,
          .min_inputs = 3,
          .max_inputs = 3,
          .attributes = attributes,
          .infer = infer_scatter_elements,
          .gradient = scatter_elements_gradient,
          .cpu = bind_scatter_elements,
          .aliases = kInPlace};
}
constexpr OpDef scatter_nd(int since, int until, std::span<const std::string_view> attributes) {
  return {.name = "ScatterND",
          .since = since,
          .until = until,
          .min_inputs = 3,
          .max_inputs = 3,
          .attributes = attributes,
          .infer = infer_scatter_nd,
          .gradient = scatter_nd_gradient,
          .cpu = bind_scatter_nd,
          .aliases = kInPlace};
}

constexpr OpDef scatter_op = scatter_elements("Scatter", 9, 11, kAxis);
constexpr OpDef scatter_elements_op_11 = scatter_elements("ScatterElements", 11, 16, kAxis);
constexpr OpDef scatter_elements_op_16 = scatter_elements("ScatterElements", 16, kLatest, kAxisAndReduction);
constexpr OpDef scatter_nd_op_11 = scatter_nd(11, 16, {});
constexpr OpDef scatter_nd_op_16 = scatter_nd(16, kLatest, kReduction);
constexpr OpDef gather_nd_op = {.name = "GatherND",
                                .since = 11,
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .attributes = kBatchDims,
                                .infer = infer_gather_nd,
                                .gradient = gather_nd_gradient,
                                .cpu = bind_gather_nd,
                                .elements = Elements::kMoved};
constexpr OpDef gather_nd_grad_op = {.name = "GatherNDGrad",
                                     .domain = "tandem",
                                     .min_inputs = 3,
                                     .max_inputs = 3,
                                     .attributes = kBatchDims,
                                     .infer = infer_gather_nd_grad,
                                     .cpu = bind_gather_nd_grad,
                                     .shape_inputs = input_set(2)};

constexpr const OpDef* kOps[] = {&scatter_op,       &scatter_elements_op_11, &scatter_elements_op_16, &scatter_nd_op_11,
                                 &scatter_nd_op_16, &gather_nd_op,           &gather_nd_grad_op};

}  // namespace

extern const OpFamily scatter_ops;
constinit const OpFamily scatter_ops = kOps;

}  // namespace tandem
