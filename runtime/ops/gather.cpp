// Gather (ONNX 1 on) takes slices by index, GatherElements (11) single elements. Their gradients sum what went to several places:
// tandem.GatherGrad and tandem.GatherElementsGrad (dy, indices, shape of x).
#include "kernels/api/gather.h"

#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis"};

// Shape(x)[i]: indices into a known list.
void propagate_content(InferenceContext& node) {
  const auto list = node.content(0), indices = node.content(1);
  if (!list || !node.has_rank(0) || node.rank(0) != 1 || !node.constant(1)) return;
  Dims taken;
  const auto size = static_cast<int64_t>(list->size());
  for (const Dim& index : *indices) {
    node.require(index.size >= -size && index.size < size, "index is out of range (index, size)", index.size, size);
    taken.push_back((*list)[static_cast<size_t>(index.size < 0 ? index.size + size : index.size)]);
  }
  node.set_content(0, std::move(taken));
}

void infer_gather(InferenceContext& node) {
  require_index(node, 1);
  if (!node.has_rank(0) || !node.has_rank(1)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims dims = node.dims(0);
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
  const auto at = dims.erase(dims.begin() + axis);
  dims.insert(at, node.dims(1).begin(), node.dims(1).end());
  node.set_output(0, node.dtype(0), std::move(dims));
  if (node.content(1)) propagate_content(node);
}

void infer_gather_elements(InferenceContext& node) {
  require_index(node, 1);
  if (node.has_rank(0) && node.has_rank(1)) {
    node.require(node.rank(0) == node.rank(1), "data and indices have different ranks", node.rank(0), node.rank(1));
    const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
    for (int a = 0; a < node.rank(0); ++a) {
      const Dim &data = node.dims(0)[static_cast<size_t>(a)], &index = node.dims(1)[static_cast<size_t>(a)];
      node.require(a == axis || !data.known() || !index.known() || index.size <= data.size,
                   "indices are larger than the data (axis, indices, data)", a, index.size, data.size);
    }
  }
  node.set_output(0, node.dtype(0), node.has_rank(1) ? std::optional(node.dims(1)) : std::nullopt);
}

void infer_grad(InferenceContext& node) {
  node.require_float(0);
  node.set_output(0, node.dtype(0), node.content(2));
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
  return {.run = [axis](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], in[1], axis, out[0]); }};
}
template <auto kernel>
BoundKernel bind_grad(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.output_shape(0).rank());
  return {.run = [axis](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], in[1], axis, out[0]); }};
}

void gradient(GradientContext& node) {
  if (!node.wants(0)) return;
  const std::string op = std::string(node.node().def->name) + "Grad";
  node.set_input_grad(0, node.emit_internal(op, {node.output_grad(), node.input(1), shape_of(node, node.input(0))},
                                            {{"axis", node.get_int("axis", 0)}}));
}

using Binder = BoundKernel (*)(const BindContext&);

constexpr OpDef gathering(std::string_view name, int since, void (*infer)(InferenceContext&), Binder cpu, Binder cuda) {
  return {.name = name,
          .since = since,
          .min_inputs = 2,
          .max_inputs = 2,
          .attributes = kAttributes,
          .infer = infer,
          .gradient = gradient,
          .cpu = cpu,
          .cuda = cuda,
          .elements = Elements::kMoved};
}
constexpr OpDef gathering_grad(std::string_view name, Binder cpu, Binder cuda) {
  return {.name = name,
          .domain = "tandem",
          .min_inputs = 3,
          .max_inputs = 3,
          .attributes = kAttributes,
          .infer = infer_grad,
          .cpu = cpu,
          .cuda = cuda,
          .shape_inputs = input_set(2)};
}

constexpr OpDef gather_op = gathering("Gather", 1, infer_gather, bind<cpu::gather>, on_cuda(bind<cuda::gather>));
constexpr OpDef gather_elements_op =
    gathering("GatherElements", 11, infer_gather_elements, bind<cpu::gather_elements>, on_cuda(bind<cuda::gather_elements>));
constexpr OpDef gather_grad_op =
    gathering_grad("GatherGrad", bind_grad<cpu::gather_backward>, on_cuda(bind_grad<cuda::gather_backward>));
constexpr OpDef gather_elements_grad_op = gathering_grad("GatherElementsGrad", bind_grad<cpu::gather_elements_backward>,
                                                               on_cuda(bind_grad<cuda::gather_elements_backward>));

constexpr const OpDef* kOps[] = {&gather_op, &gather_elements_op, &gather_grad_op, &gather_elements_grad_op};

}  // namespace

extern const OpFamily gather_ops;
constinit const OpFamily gather_ops = kOps;

}  // namespace tandem
