// CenterCropPad (ONNX 18): Pad with zeros, negative where an axis is cropped. Both sides share the difference, the odd element
// goes to the end. Gradient: the same op, back to the shape of x.
#include "kernels/api/movement.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axes"};

void infer(InferenceContext& node) {
  require_index(node, 1);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims y = node.dims(0);
  std::vector<int64_t> axes = node.get_ints("axes");
  if (!node.has_attribute("axes"))
    for (int a = 0; a < node.rank(0); ++a) axes.push_back(a);
  axis_mask(node, axes, node.rank(0));
  const auto sizes = node.content(1);
  node.require(!sizes || sizes->size() == axes.size(), "shape needs one size an axis (sizes, axes)", sizes ? sizes->size() : 0,
               axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    const Dim size = sizes ? (*sizes)[i] : Dim();
    node.require(!node.constant(1) || size.known(), "a size is negative (axis)", axes[i]);
    y[static_cast<size_t>(node.normalized_axis(axes[i], node.rank(0)))] = size;
  }
  node.set_output(0, node.dtype(0), std::move(y));
}

template <auto pad>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    IndexList before;
    for (int a = 0; a < in[0].shape.rank(); ++a) {
      const int64_t more = out[0].shape[a] - in[0].shape[a];
      before.push_back(more >= 0 ? more / 2 : -(-more / 2));
    }
    pad(context, in[0], before, PadMode::kConstant, ConstTensorView{}, out[0]);
  }};
}

void gradient(GradientContext& node) {
  if (!node.wants(0)) return;
  node.set_input_grad(0, node.emit("CenterCropPad", {node.output_grad(), shape_of(node, node.input(0))}));
}

constexpr OpDef center_crop_pad_op = {.name = "CenterCropPad",
                                      .since = 18,
                                      .min_inputs = 2,
                                      .max_inputs = 2,
                                      .attributes = kAttributes,
                                      .infer = infer,
                                      .gradient = gradient,
                                      .cpu = bind<cpu::pad>,
                                      .cuda = on_cuda(bind<cuda::pad>),
                                      .shape_inputs = input_set(1),
                                      .elements = Elements::kMoved};

constexpr const OpDef* kOps[] = {&center_crop_pad_op};

}  // namespace

extern const OpFamily center_crop_pad_ops;
constinit const OpFamily center_crop_pad_ops = kOps;

}  // namespace tandem
