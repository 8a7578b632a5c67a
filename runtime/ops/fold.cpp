// Col2Im (ONNX 18) and MaxUnpool (9 to 22): windows put back into an image; the gradients tandem.Col2ImGrad(dy, like x, block)
// and tandem.MaxUnpoolGrad(dy, indices).
#include "kernels/api/fold.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"
#include "runtime/ops/window_attributes.h"

namespace tandem {
namespace {

constexpr std::string_view kColumnAttributes[] = {"dilations", "pads", "strides"},
                           kUnpoolAttributes[] = {"kernel_shape", "pads", "strides"};

struct FoldAttributes {
  explicit FoldAttributes(const NodeContext& node)
      : strides(node.get_ints("strides")), dilations(node.get_ints("dilations")), pads(node.get_ints("pads")) {}

  Window window(std::span<const int64_t> image, std::span<const int64_t> block) const {
    Shape x{1, 1};
    for (int64_t size : image) x.push_back(size);
    return make_window(Shape(x.dims()), {.kernel = block, .strides = strides, .dilations = dilations, .pads = pads});
  }
  std::vector<int64_t> strides, dilations, pads;
};

void infer_columns(InferenceContext& node) {
  node.require_number(0);
  for (int i : {1, 2}) node.require_dtype(i, DType::kI64);
  const auto image = node.content(1), block = node.content(2);
  node.require(!node.has_rank(0) || node.rank(0) == 3, "input must be [batch, channels * block, blocks]");
  const size_t axes = image                                         ? image->size()
                      : node.has_rank(1) && node.dims(1)[0].known() ? static_cast<size_t>(node.dims(1)[0].size)
                                                                    : 0;
  if (axes == 0) return node.set_output(0, node.dtype(0), std::nullopt);
  node.require(axes >= 1 && axes <= 3, "image_shape must have 1 to 3 sizes", axes);
  Dims y(axes + 2);
  if (image) std::ranges::copy(*image, y.begin() + 2);
  if (node.has_rank(0)) y[0] = node.dims(0)[0];
  const auto images = image ? fixed_shape(*image) : std::nullopt, blocks = block ? fixed_shape(*block) : std::nullopt;
  if (images && blocks && node.has_rank(0)) {
    const Window window = naming(node, [&] { return FoldAttributes(node).window(images->dims(), blocks->dims()); });
    const Dims& x = node.dims(0);
    node.require(!differ(x[2], Dim(window.output_size())), "input needs one column a block (its columns, blocks)", x[2].size,
                 window.output_size());
    node.require(!x[1].known() || x[1].size % window.kernel_size() == 0,
                 "the rows of the input are no multiple of the block (rows, block)", x[1].size, window.kernel_size());
    if (x[1].known()) y[1] = Dim(x[1].size / window.kernel_size());
  }
  node.set_output(0, node.dtype(0), std::move(y));
}

BoundKernel bind_columns(const BindContext& node) {
  return {.run = [attributes = FoldAttributes(node)](const KernelContext& context, Inputs in, Outputs out) {
    const IndexList block(in[2]);
    cpu::col2im(context, attributes.window(out[0].shape.dims().subspan(2), block), in[0], out[0]);
  }};
}

void columns_gradient(GradientContext& node) {
  node.set_input_grad(
      0, node.emit_internal("Col2ImGrad", {node.output_grad(), node.input(0), node.input(2)}, node.node().attributes));
}

void infer_columns_grad(InferenceContext& node) {
  node.require_same_dtype(0, 1);
  node.require_number(0);
  node.require_dtype(2, DType::kI64);
  node.set_output_like(0, 1);
}

BoundKernel bind_columns_grad(const BindContext& node) {
  return {.run = [attributes = FoldAttributes(node)](const KernelContext& context, Inputs in, Outputs out) {
    const IndexList block(in[2]);
    cpu::im2col(context, attributes.window(in[0].shape.dims().subspan(2), block), in[0], out[0]);
  }};
}

// The shape that the indices speak of: every pooled position at its own window.
class UnpooledShape {
 public:
  explicit UnpooledShape(const NodeContext& node) : attributes_(node) {
    const size_t axes = attributes_.kernel.size();
    node.require(axes > 0, "kernel_shape is required");
    node.require(attributes_.strides.empty() || attributes_.strides.size() == axes, "strides needs one value an axis",
                 attributes_.strides.size());
    node.require(attributes_.pads.empty() || attributes_.pads.size() == 2 * axes, "pads needs two values an axis",
                 attributes_.pads.size());
  }
  size_t axes() const { return attributes_.kernel.size(); }
  int64_t size(size_t axis, int64_t pooled) const {
    const int64_t stride = attributes_.strides.empty() ? 1 : attributes_.strides[axis];
    const int64_t pads =
        attributes_.pads.empty() ? 0 : checked_add(attributes_.pads[axis], attributes_.pads[axis + axes()], "pads");
    return checked_add(checked_mul(pooled - 1, stride, "unpooled size"), checked_add(attributes_.kernel[axis], -pads, "pads"),
                       "unpooled size");
  }
  Shape of(const Shape& x) const {
    Shape y{x[0], x[1]};
    for (size_t a = 0; a < axes(); ++a) y.push_back(size(a, x[static_cast<int>(a) + 2]));
    return Shape(y.dims());
  }

 private:
  WindowAttributes attributes_;
};

void infer_unpool(InferenceContext& node) {
  node.require_dtype(1, DType::kI64);
  const UnpooledShape unpooled(node);
  const size_t rank = unpooled.axes() + 2;
  Dims y(rank);
  if (node.has_rank(0)) {
    const Dims& x = node.dims(0);
    node.require(x.size() == rank, "kernel_shape needs one size a spatial axis of X", to_string(x));
    y[0] = x[0], y[1] = x[1];
    for (size_t a = 0; a + 2 < rank && !node.has_input(2); ++a)
      if (x[a + 2].known()) y[a + 2] = Dim(naming(node, [&] { return unpooled.size(a, x[a + 2].size); }));
    for (const Dim& dim : y) node.require(dim == Dim() || dim.size >= 0 || !dim.symbol.empty(), "pads take more than there is");
    for (size_t a = 0; node.has_rank(1) && a < rank; ++a)
      node.require(node.dims(1).size() == rank && !differ(node.dims(1)[a], x[a]), "X and its indices differ in shape",
                   to_string(x), to_string(node.dims(1)));
  }
  if (node.has_input(2)) {
    node.require_dtype(2, DType::kI64);
    if (const auto shape = node.content(2)) {
      node.require(shape->size() == rank, "output_shape needs one size an axis", shape->size(), rank);
      y = *shape;
    }
  }
  node.set_output(0, node.dtype(0), std::move(y));
}

BoundKernel bind_unpool(const BindContext& node) {
  return {.run = [unpooled = UnpooledShape(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::max_unpool(context, in[0], in[1], unpooled.of(in[0].shape), out[0]);
  }};
}

void unpool_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("MaxUnpoolGrad", {node.output_grad(), node.input(1)}, node.node().attributes));
}

void infer_unpool_grad(InferenceContext& node) {
  node.require_float(0);
  node.require_dtype(1, DType::kI64);
  node.set_output(0, node.dtype(0), node.has_rank(1) ? std::optional(node.dims(1)) : std::nullopt);
}

BoundKernel bind_unpool_grad(const BindContext& node) {
  return {.run = [unpooled = UnpooledShape(node)](
                     const KernelContext& context, Inputs in,
                     Outputs out) { cpu::max_unpool_grad(context, in[0], in[1], unpooled.of(out[0].shape), out[0]); },
          .workspace = static_cast<size_t>(node.shape(0).elements())};
}

constexpr OpDef col2im_op = {.name = "Col2Im",
                             .since = 18,
                             .min_inputs = 3,
                             .max_inputs = 3,
                             .attributes = kColumnAttributes,
                             .infer = infer_columns,
                             .gradient = columns_gradient,
                             .cpu = bind_columns,
                             .host_inputs = input_set(2),
                             .shape_inputs = input_set(1)};
constexpr OpDef max_unpool_op = {.name = "MaxUnpool",
                                 .since = 9,
                                 .min_inputs = 2,
                                 .max_inputs = 3,
                                 .attributes = kUnpoolAttributes,
                                 .infer = infer_unpool,
                                 .gradient = unpool_gradient,
                                 .cpu = bind_unpool,
                                 .shape_inputs = input_set(2)};

constexpr OpDef col2im_grad_op = {.name = "Col2ImGrad",
                                  .domain = "tandem",
                                  .min_inputs = 3,
                                  .max_inputs = 3,
                                  .attributes = kColumnAttributes,
                                  .infer = infer_columns_grad,
                                  .cpu = bind_columns_grad,
                                  .host_inputs = input_set(2),
                                  .shape_inputs = input_set(1)};
constexpr OpDef max_unpool_grad_op = {.name = "MaxUnpoolGrad",
                                      .domain = "tandem",
                                      .min_inputs = 2,
                                      .max_inputs = 2,
                                      .attributes = kUnpoolAttributes,
                                      .infer = infer_unpool_grad,
                                      .cpu = bind_unpool_grad};

constexpr const OpDef* kOps[] = {&col2im_op, &max_unpool_op, &col2im_grad_op, &max_unpool_grad_op};

}  // namespace

extern const OpFamily fold_ops;
constinit const OpFamily fold_ops = kOps;

}  // namespace tandem
