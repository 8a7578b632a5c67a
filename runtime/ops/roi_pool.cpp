// RoiAlign (ONNX 10; from 16 on coordinates may be moved by half a pixel, and are by default), MaxRoiPool (1 to 22),
// onnxruntime's CropAndResize (com.microsoft 1: detectors made with Keras have it), and tandem.RoiAlignGrad(dy, x, regions,
// images): the gradient by x. Regions get none, as in torchvision: detectors train them by other losses.
#include "kernels/api/roi_pool.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAlignAttributes10[] = {"mode", "output_height", "output_width", "sampling_ratio", "spatial_scale"};
constexpr std::string_view kAlignAttributes[] = {
    "coordinate_transformation_mode", "mode", "output_height", "output_width", "sampling_ratio", "spatial_scale"};
constexpr std::string_view kMaxAttributes[] = {"pooled_shape", "spatial_scale"};
constexpr std::string_view kCropAttributes[] = {"extrapolation_value", "mode"};

bool is_old(const Node& node) { return node.def->domain.empty() && node.def->since < 16; }

RoiAlignOptions options_of(const NodeContext& node) {
  const std::string mode = node.get_string("mode", "avg");
  const std::string coordinates =
      node.get_string("coordinate_transformation_mode", is_old(node.node()) ? "output_half_pixel" : "half_pixel");
  node.require(mode == "avg" || mode == "max", "mode must be avg or max", mode);
  node.require(coordinates == "half_pixel" || coordinates == "output_half_pixel",
               "coordinate_transformation_mode must be half_pixel or output_half_pixel", coordinates);
  RoiAlignOptions options;
  options.spatial_scale = static_cast<double>(node.get_float("spatial_scale", 1));
  options.sampling_ratio = node.get_int("sampling_ratio", 0);
  node.require(options.sampling_ratio >= 0, "sampling_ratio must not be negative", options.sampling_ratio);
  options.half_pixel = coordinates == "half_pixel";
  options.max = mode == "max";
  return options;
}

// [regions, channels, height, width] of X and an input of regions with `columns` numbers each.
void set_regions(InferenceContext& node, int64_t columns, const Dim& height, const Dim& width) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  Dims y = {Dim(), Dim(), height, width};
  if (node.has_rank(0)) {
    node.require(node.rank(0) == 4, "X must be [batch, channels, height, width]", to_string(node.dims(0)));
    y[1] = node.dims(0)[1];
  }
  if (node.has_rank(1)) {
    node.require(node.rank(1) == 2 && !differ(node.dims(1)[1], Dim(columns)), "rois must have one row a region (rois, columns)",
                 to_string(node.dims(1)), columns);
    y[0] = node.dims(1)[0];
  }
  node.set_output(0, node.dtype(0), std::move(y));
}

void set_pooled(InferenceContext& node, int64_t columns, int64_t height, int64_t width) {
  node.require(height >= 1 && width >= 1, "the pooled height and width must be positive", height, width);
  set_regions(node, columns, height, width);
}

void require_images(const InferenceContext& node) {
  if (node.has_rank(1) && node.has_rank(2))
    node.require(node.rank(2) == 1 && !differ(node.dims(2)[0], node.dims(1)[0]), "batch_indices needs one image a region",
                 to_string(node.dims(2)));
}

void infer_align(InferenceContext& node) {
  options_of(node);
  node.require_dtype(2, DType::kI64);
  set_pooled(node, 4, node.get_int("output_height", 1), node.get_int("output_width", 1));
  require_images(node);
}

BoundKernel bind_align(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::roi_align(context, in[0], in[1], in[2], options, out[0]);
  }};
}

void align_gradient(GradientContext& node) {
  if (!node.wants(0)) return;
  Attributes attributes = node.node().attributes;
  if (is_old(node.node())) attributes["coordinate_transformation_mode"] = std::string("output_half_pixel");
  node.set_input_grad(0, node.emit_internal("RoiAlignGrad", {node.output_grad(), node.input(0), node.input(1), node.input(2)},
                                            std::move(attributes)));
}

void infer_align_grad(InferenceContext& node) {
  require_float(node, 0);
  for (int i : {1, 2}) node.require_same_dtype(0, i);
  node.require_dtype(3, DType::kI64);
  options_of(node);
  node.set_output_like(0, 1);
}

BoundKernel bind_align_grad(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::roi_align_grad(context, in[0], in[1], in[2], in[3], options, out[0]);
  }};
}

void infer_max(InferenceContext& node) {
  const std::vector<int64_t> pooled = node.get_ints("pooled_shape");
  node.require(pooled.size() == 2, "pooled_shape must be a height and a width", pooled.size());
  set_pooled(node, 5, pooled[0], pooled[1]);
}

BoundKernel bind_max(const BindContext& node) {
  return {.run = [scale = static_cast<double>(node.get_float("spatial_scale", 1))](const KernelContext& context, Inputs in,
                                                                                   Outputs out) {
    cpu::max_roi_pool(context, in[0], in[1], scale, out[0]);
  }};
}

CropOptions crop_options_of(const NodeContext& node) {
  const std::string mode = node.get_string("mode", "bilinear");
  node.require(mode == "bilinear" || mode == "nearest", "mode must be bilinear or nearest", mode);
  return {mode == "nearest", static_cast<double>(node.get_float("extrapolation_value", 0))};
}

void infer_crop(InferenceContext& node) {
  crop_options_of(node);
  for (int i : {2, 3}) node.require_dtype(i, DType::kI32);
  Dims sizes = node.content(3).value_or(Dims(2));
  node.require(sizes.size() == 2, "crop_size must be a height and a width", to_string(sizes));
  for (const Dim& size : sizes)
    node.require(size.known() ? size.size >= 1 : !node.constant(3), "the height and width of crops must be positive",
                 to_string(sizes));
  set_regions(node, 4, sizes[0], sizes[1]);
  require_images(node);
}

BoundKernel bind_crop(const BindContext& node) {
  return {.run = [options = crop_options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::crop_and_resize(context, in[0], in[1], in[2], options, out[0]);
  }};
}

constexpr OpDef align(int since, int until, std::span<const std::string_view> attributes) {
  return {.name = "RoiAlign",
          .since = since,
          .until = until,
          .min_inputs = 3,
          .max_inputs = 3,
          .attributes = attributes,
          .infer = infer_align,
          .gradient = align_gradient,
          .cpu = bind_align};
}
constexpr OpDef roi_align_op_10 = align(10, 16, kAlignAttributes10);
constexpr OpDef roi_align_op_16 = align(16, std::numeric_limits<int>::max(), kAlignAttributes);
constexpr OpDef roi_align_grad_op = {.name = "RoiAlignGrad",
                                     .domain = "tandem",
                                     .min_inputs = 4,
                                     .max_inputs = 4,
                                     .attributes = kAlignAttributes,
                                     .infer = infer_align_grad,
                                     .cpu = bind_align_grad};
constexpr OpDef max_roi_pool_op = {
    .name = "MaxRoiPool", .min_inputs = 2, .max_inputs = 2, .attributes = kMaxAttributes, .infer = infer_max, .cpu = bind_max};

constexpr OpDef crop_and_resize_op = {.name = "CropAndResize",
                                      .domain = "com.microsoft",
                                      .min_inputs = 4,
                                      .max_inputs = 4,
                                      .attributes = kCropAttributes,
                                      .infer = infer_crop,
                                      .cpu = bind_crop,
                                      .shape_inputs = input_set(3)};

constexpr const OpDef* kOps[] = {&roi_align_op_10, &roi_align_op_16, &roi_align_grad_op, &max_roi_pool_op, &crop_and_resize_op};

}  // namespace

extern const OpFamily roi_pool_ops;
constinit const OpFamily roi_pool_ops = kOps;

}  // namespace tandem
