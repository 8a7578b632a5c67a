// Pad: pads and value are attributes in ONNX 2 and inputs from 11 on (axes from 18, wrap from 19). A negative pad takes elements
// away.
//
// Gradient: tandem.PadGrad(dy, shape of x, pads, axes?), which drops what padding added, or sums it to where it was copied from.
#include "kernels/api/movement.h"
#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes2[] = {"pads", "mode", "value"}, kMode[] = {"mode"};

PadMode mode_of(const NodeContext& node) {
  const std::string mode = node.get_string("mode", "constant");
  if (mode == "constant") return PadMode::kConstant;
  if (mode == "reflect") return PadMode::kReflect;
  if (mode == "edge") return PadMode::kEdge;
  if (mode == "wrap") return PadMode::kWrap;
  node.reject("mode must be constant, reflect, edge or wrap", mode);
}

// Pads of every axis: those before the elements, then those after. `axes` (null: all) says which the given ones belong to.
IndexList full_pads(const NodeContext& node, std::span<const int64_t> given, const IndexList* axes, int rank) {
  const size_t count = axes ? axes->size() : static_cast<size_t>(rank);
  node.require(given.size() == 2 * count, "two pads an axis are needed (pads, axes)", given.size(), count);
  IndexList pads;
  for (int i = 0; i < 2 * rank; ++i) pads.push_back(0);
  for (size_t i = 0; i < count; ++i) {
    const size_t axis = axes ? static_cast<size_t>(node.normalized_axis((*axes)[i], rank)) : i;
    pads[axis] = given[i];
    pads[axis + static_cast<size_t>(rank)] = given[count + i];
  }
  return pads;
}

std::optional<IndexList> known_pads(const InferenceContext& node) {
  const auto pads = node.has_input(1) ? known_indices(node, 1) : node.get_ints("pads");
  if (!pads) return std::nullopt;
  if (!node.has_input(3)) return full_pads(node, *pads, nullptr, node.rank(0));
  const auto axes = known_indices(node, 3);
  if (!axes) return std::nullopt;
  axis_mask(node, *axes, node.rank(0));
  const IndexList list{std::span<const int64_t>(*axes)};
  return full_pads(node, *pads, &list, node.rank(0));
}

void infer(InferenceContext& node) {
  const PadMode mode = mode_of(node);
  if (node.has_input(1)) node.require_dtype(1, DType::kI64);
  if (node.has_input(2)) node.require_same_dtype(0, 2);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  const auto pads = known_pads(node);
  Dims dims = node.dims(0);
  if (!pads) return node.set_output(0, node.dtype(0), Dims(dims.size()));
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t before = (*pads)[i], after = (*pads)[i + dims.size()];
    if (before == 0 && after == 0) continue;
    node.require(mode != PadMode::kWrap || (before >= 0 && after >= 0), "wrap takes no negative pads (axis, before, after)", i,
                 before, after);
    if (!dims[i].known()) {
      dims[i] = shifted(shifted(dims[i], before), after);
      continue;
    }
    node.require(mode != PadMode::kReflect || (before < dims[i].size && after < dims[i].size),
                 "reflection needs pads below the dimension (axis, size)", i, dims[i].size);
    const int64_t padded = checked_add(checked_add(dims[i].size, before, "pad"), after, "pad");
    node.require(padded >= 0, "negative pads take more than there is (axis, size)", i, dims[i].size);
    dims[i] = Dim(padded);
  }
  node.set_output(0, node.dtype(0), std::move(dims));
}

template <bool backward>
IndexList pads_of_run(const NodeContext& node, Inputs in, int rank) {
  constexpr size_t kPads = backward ? 2 : 1;
  const IndexList given(in[kPads]);
  const bool has_axes = in.size() > 3 && in[3];
  const IndexList axes = has_axes ? IndexList(in[3]) : IndexList();
  return full_pads(node, given, has_axes ? &axes : nullptr, rank);
}

Tensor scalar_of(DType dtype, float value) {
  if (dtype == DType::kF16) return Tensor::scalar<F16>(to_f16(value));
  if (dtype == DType::kBF16) return Tensor::scalar<BF16>(to_bf16(value));
  return visit_float(dtype, [&]<class T>() { return Tensor::scalar<T>(static_cast<T>(value)); });
}

template <auto kernel>
BoundKernel bind_attributes(const BindContext& node) {
  const int rank = node.rank(0);
  const IndexList pads = full_pads(node, node.get_ints("pads"), nullptr, rank);
  const float value = node.get_float("value", 0);
  const Tensor outside = scalar_of(node.dtype(0), value);
  return {.run = [=, mode = mode_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], pads.first(static_cast<size_t>(rank)), mode, outside.view(), out[0]);
  }};
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  return {.run = [own = Node(node.node()), mode = mode_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    const int rank = in[0].shape.rank();
    const IndexList pads = pads_of_run<false>(NodeContext(own), in, rank);
    kernel(context, in[0], pads.first(static_cast<size_t>(rank)), mode, in.size() > 2 ? in[2] : ConstTensorView{}, out[0]);
  }};
}

void gradient(GradientContext& node) {
  if (!node.wants(0)) return;
  const ValueId pads = node.has_attribute("pads") ? node.ints(node.get_ints("pads")) : node.input(1);
  std::vector<ValueId> inputs = {node.output_grad(), shape_of(node, node.input(0)), pads};
  if (node.has_input(3)) inputs.push_back(node.input(3));
  node.set_input_grad(0, node.emit_internal("PadGrad", std::move(inputs), {{"mode", node.get_string("mode", "constant")}}));
}

void infer_grad(InferenceContext& node) {
  mode_of(node);
  require_float(node, 0);
  node.set_output(0, node.dtype(0), node.content(1));
}
template <auto kernel>
BoundKernel bind_grad(const BindContext& node) {
  return {.run = [own = Node(node.node()), mode = mode_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    const int rank = out[0].shape.rank();
    const IndexList pads = pads_of_run<true>(NodeContext(own), in, rank);
    kernel(context, in[0], pads.first(static_cast<size_t>(rank)), mode, out[0]);
  }};
}

void infer_attributes(InferenceContext& node) {
  require_float(node, 0);
  infer(node);
}

constexpr OpDef pad_op_2 = {.name = "Pad",
                            .since = 2,
                            .until = 11,
                            .attributes = kAttributes2,
                            .infer = infer_attributes,
                            .gradient = gradient,
                            .cpu = bind_attributes<cpu::pad>,
                            .cuda = on_cuda(bind_attributes<cuda::pad>),
                            .elements = Elements::kMoved};
constexpr OpDef pad_op_11 = {.name = "Pad",
                             .since = 11,
                             .min_inputs = 2,
                             .max_inputs = 4,
                             .attributes = kMode,
                             .infer = infer,
                             .gradient = gradient,
                             .cpu = bind<cpu::pad>,
                             .cuda = on_cuda(bind<cuda::pad>),
                             .host_inputs = input_set(1, 2, 3),
                             .elements = Elements::kMoved};
constexpr OpDef pad_grad_op = {.name = "PadGrad",
                               .domain = "tandem",
                               .min_inputs = 3,
                               .max_inputs = 4,
                               .attributes = kMode,
                               .infer = infer_grad,
                               .cpu = bind_grad<cpu::pad_backward>,
                               .cuda = on_cuda(bind_grad<cuda::pad_backward>),
                               .host_inputs = input_set(2, 3),
                               .shape_inputs = input_set(1)};

constexpr const OpDef* kOps[] = {&pad_op_2, &pad_op_11, &pad_grad_op};

}  // namespace

extern const OpFamily pad_ops;
constinit const OpFamily pad_ops = kOps;

}  // namespace tandem
