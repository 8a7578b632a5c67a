// Resize (ONNX 10: asymmetric, nearest rounds down; 11 to 19) and Upsample (1, 7 with attributes, 9 with an input: the same as
// Resize-10).
//
// Gradient: tandem.ResizeGrad(dy, shape of x, roi?, scales?, sizes?) with the attributes of Resize.
#include "kernels/api/resize.h"

#include <array>
#include <cmath>
#include <vector>

#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"antialias",
                                            "axes",
                                            "coordinate_transformation_mode",
                                            "cubic_coeff_a",
                                            "exclude_outside",
                                            "extrapolation_value",
                                            "keep_aspect_ratio_policy",
                                            "mode",
                                            "nearest_mode"};
constexpr std::string_view kMode[] = {"mode"}, kScales[] = {"mode", "scales"},
                           kPlaneScales[] = {"mode", "height_scale", "width_scale"};

// The value of a text attribute as its place in a list.
template <class Enum, size_t N>
Enum choice(const NodeContext& node, std::string_view name, std::string_view fallback,
            const std::array<std::string_view, N>& names) {
  const std::string text = node.get_string(name, fallback);
  for (size_t i = 0; i < N; ++i)
    if (text == names[i]) return static_cast<Enum>(i);
  node.reject("attribute has no such value", name, text);
}

constexpr std::array<std::string_view, 4> kModes = {"nearest", "linear", "cubic", "bilinear"};
constexpr std::array<std::string_view, 7> kCoordinates = {"half_pixel",        "half_pixel_symmetric", "pytorch_half_pixel",
                                                          "align_corners",     "asymmetric",           "tf_half_pixel_for_nn",
                                                          "tf_crop_and_resize"};
constexpr std::array<std::string_view, 4> kRoundings = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};

// Where a node has its lists; -1: nowhere.
struct Inputs3 {
  int roi = -1, scales = -1, sizes = -1;
};
Inputs3 inputs_of(const NodeContext& node) {
  const OpDef& def = *node.node().def;
  if (def.name == "ResizeGrad") return {2, 3, 4};
  if (def.name == "Resize" && def.since >= 11) return {1, 2, 3};
  return {-1, node.inputs() > 1 ? 1 : -1, -1};
}
bool is_old(const NodeContext& node) {
  return node.node().def->name == "Upsample" || (node.node().def->name == "Resize" && node.node().def->since < 11);
}

ResizeOptions options_of(const NodeContext& node) {
  ResizeOptions options;
  const auto mode = choice<int>(node, "mode", "nearest", kModes);
  options.mode = static_cast<ResizeMode>(mode == 3 ? 1 : mode);
  options.coordinates =
      choice<ResizeCoordinates>(node, "coordinate_transformation_mode", is_old(node) ? "asymmetric" : "half_pixel", kCoordinates);
  options.rounding = choice<ResizeRounding>(node, "nearest_mode", is_old(node) ? "floor" : "round_prefer_floor", kRoundings);
  options.antialias = node.get_int("antialias", 0) != 0 && options.mode != ResizeMode::kNearest;
  options.exclude_outside = node.get_int("exclude_outside", 0) != 0 && options.mode != ResizeMode::kNearest;
  options.cubic_a = static_cast<double>(node.get_float("cubic_coeff_a", -0.75f));
  options.extrapolation = static_cast<double>(node.get_float("extrapolation_value", 0));
  return options;
}

enum class Policy : uint8_t { kStretch, kNotLarger, kNotSmaller };
Policy policy_of(const NodeContext& node) {
  constexpr std::array<std::string_view, 3> kPolicies = {"stretch", "not_larger", "not_smaller"};
  return choice<Policy>(node, "keep_aspect_ratio_policy", "stretch", kPolicies);
}

// The axes that the lists speak of.
IndexList axes_of(const NodeContext& node, int rank) {
  IndexList axes;
  if (node.has_attribute("axes")) {
    const std::vector<int64_t> given = node.get_ints("axes");
    axis_mask(node, given, rank);
    for (int64_t axis : given) axes.push_back(node.normalized_axis(axis, rank));
  } else {
    for (int a = 0; a < rank; ++a) axes.push_back(a);
  }
  return axes;
}

// Scales that are attributes: of Upsample 1 and 7.
std::vector<float> scale_attributes(const NodeContext& node, int rank) {
  if (!node.has_attribute("height_scale")) return node.get_floats("scales");
  node.require(rank == 4, "height_scale and width_scale are for inputs of rank 4", rank);
  return {1, 1, node.get_float("height_scale", 1), node.get_float("width_scale", 1)};
}

// A scale that is a small number of halves, quarters ...: as exact in float as with symbols.
struct Ratio {
  int64_t times, by;
};
std::optional<Ratio> small_ratio(float scale) {
  constexpr float kMostTimes = 65536, kMostBy = 256;
  for (float by = 1; by <= kMostBy; by *= 2) {
    const float times = scale * by;
    if (times <= kMostTimes && times == std::floor(times)) return Ratio{static_cast<int64_t>(times), static_cast<int64_t>(by)};
  }
  return std::nullopt;
}

// The largest number that is not above size * scale, of a float product where the scale is no small ratio.
Dim scaled(const Dim& size, float scale) {
  if (const auto ratio = small_ratio(scale))
    return floor_quotient(product(std::vector<Dim>{size, Dim(ratio->times)}), ratio->by);
  if (!size.known()) return {};
  const float reached = static_cast<float>(size.size) * scale;
  require(reached < 9e18f, "a scaled dimension is too large", size.size, scale);
  return Dim(static_cast<int64_t>(std::floor(reached)));
}
int64_t rounded(double size) {
  require(size < 9e18, "a scaled dimension is too large", size);
  return static_cast<int64_t>(std::floor(size + 0.5));
}

// The scale that all axes share where the aspect ratio is kept.
double common_scale(Policy policy, const Shape& x, const IndexList& axes, std::span<const int64_t> sizes) {
  double common = policy == Policy::kNotLarger ? std::numeric_limits<double>::infinity() : 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t size = x[static_cast<int>(axes[i])];
    require(size > 0, "[Resize] an empty axis has no aspect ratio (axis)", axes[i]);
    const double scale = static_cast<double>(sizes[i]) / static_cast<double>(size);
    common = policy == Policy::kNotLarger ? std::min(common, scale) : std::max(common, scale);
  }
  return common;
}

Dims dims_by_scales(const InferenceContext& node, const IndexList& axes, std::span<const float> scales) {
  Dims y = node.dims(0);
  node.require(scales.size() == axes.size(), "scales needs one value an axis (values, axes)", scales.size(), axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    node.require(scales[i] > 0, "a scale must be positive", scales[i]);
    Dim& dim = y[static_cast<size_t>(axes[i])];
    if (scales[i] != 1) dim = naming(node, [&] { return scaled(dim, scales[i]); });
  }
  return y;
}

Dims dims_by_sizes(const InferenceContext& node, const IndexList& axes, const Dims& sizes) {
  Dims y = node.dims(0);
  node.require(sizes.size() == axes.size(), "sizes needs one value an axis (values, axes)", sizes.size(), axes.size());
  const Policy policy = policy_of(node);
  if (policy == Policy::kStretch) {
    for (size_t i = 0; i < axes.size(); ++i) y[static_cast<size_t>(axes[i])] = sizes[i];
    return y;
  }
  const auto x = fixed_shape(y), wanted = fixed_shape(sizes);
  for (size_t i = 0; i < axes.size(); ++i) y[static_cast<size_t>(axes[i])] = Dim();
  if (!x || !wanted) return y;
  return naming(node, [&] {
    const double scale = common_scale(policy, *x, axes, wanted->dims());
    for (size_t i = 0; i < axes.size(); ++i)
      y[static_cast<size_t>(axes[i])] = Dim(rounded(scale * static_cast<double>((*x)[static_cast<int>(axes[i])])));
    return y;
  });
}

// Whether input i is there and not the empty list that stands for "absent" in some versions; unknown lengths count as there.
bool is_given(const InferenceContext& node, int i) {
  return i >= 0 && node.has_input(i) && !(node.has_rank(i) && node.rank(i) == 1 && node.dims(i)[0] == Dim(int64_t{0}));
}

Dims output_dims(const InferenceContext& node) {
  const int rank = node.rank(0);
  const Inputs3 inputs = inputs_of(node);
  const IndexList axes = axes_of(node, rank);
  Dims open = node.dims(0);
  for (size_t i = 0; i < axes.size(); ++i) open[static_cast<size_t>(axes[i])] = Dim();
  if (is_given(node, inputs.sizes)) {
    const auto sizes = node.content(inputs.sizes);
    return sizes ? dims_by_sizes(node, axes, *sizes) : open;
  }
  if (inputs.scales < 0) return dims_by_scales(node, axes, scale_attributes(node, rank));
  node.require(is_given(node, inputs.scales), "either scales or sizes must be given");
  const Tensor* scales = node.constant(inputs.scales);
  return scales ? dims_by_scales(node, axes, scales->as<float>()) : open;
}

void check_lists(const InferenceContext& node) {
  const Inputs3 inputs = inputs_of(node);
  const ResizeOptions options = options_of(node);
  node.require(node.get_string("mode", "nearest") != "bilinear" || is_old(node), "mode must be nearest, linear or cubic");
  if (inputs.scales >= 0 && node.has_input(inputs.scales)) node.require_dtype(inputs.scales, DType::kF32);
  if (inputs.sizes >= 0 && node.has_input(inputs.sizes)) node.require_dtype(inputs.sizes, DType::kI64);
  if (options.coordinates == ResizeCoordinates::kTfCropAndResize)
    node.require(is_given(node, inputs.roi), "tf_crop_and_resize needs a roi");
}

void infer(InferenceContext& node) {
  check_lists(node);
  if (options_of(node).mode != ResizeMode::kNearest) node.require_number(0);
  node.set_output(0, node.dtype(0), node.has_rank(0) ? std::optional(output_dims(node)) : std::nullopt);
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  check_lists(node);
  node.set_output(0, node.dtype(0), node.content(1));
}

double number_at(ConstTensorView list, size_t i) {
  return visit_float(list.dtype, [&]<class T>() { return static_cast<double>(list.as<T>()[i]); });
}

// What the kernel needs of the lists of one run.
class AxesOfRun {
 public:
  AxesOfRun(const BindContext& node, int rank) : policy_(policy_of(node)), inputs_(inputs_of(node)), axes_(axes_of(node, rank)) {
    if (inputs_.scales < 0) std::ranges::copy(scale_attributes(node, rank), scales_.begin());
  }

  std::array<ResizeAxis, Shape::kMaxRank> of(const Shape& x, const Shape& y, Inputs in) const {
    std::array<ResizeAxis, Shape::kMaxRank> all;
    const ConstTensorView scales = list(in, inputs_.scales, 1), sizes = list(in, inputs_.sizes, 1),
                          roi = list(in, inputs_.roi, 2);
    const double common = sizes && policy_ != Policy::kStretch ? common_scale(policy_, x, axes_, sizes.as<int64_t>()) : 0;
    for (size_t i = 0; i < axes_.size(); ++i) {
      const int a = static_cast<int>(axes_[i]);
      ResizeAxis& axis = all[static_cast<size_t>(a)];
      if (common > 0)
        axis.scale = common;
      else if (sizes)
        axis.scale = static_cast<double>(y[a]) / static_cast<double>(std::max<int64_t>(1, x[a]));
      else
        axis.scale = scales ? number_at(scales, i) : static_cast<double>(scales_[i]);
      if (roi) axis.region_begin = number_at(roi, i), axis.region_end = number_at(roi, i + axes_.size());
    }
    return all;
  }

 private:
  // Input i, if it is there and not empty.
  ConstTensorView list(Inputs in, int i, size_t each) const {
    if (i < 0 || static_cast<size_t>(i) >= in.size() || !in[static_cast<size_t>(i)]) return {};
    const ConstTensorView view = in[static_cast<size_t>(i)];
    if (view.elements() == 0) return {};
    require(static_cast<size_t>(view.elements()) == each * axes_.size(),
            "[Resize] roi, scales or sizes does not fit the axes (values, axes)", view.elements(), axes_.size());
    return view;
  }

  Policy policy_;
  Inputs3 inputs_;
  IndexList axes_;
  std::array<float, Shape::kMaxRank> scales_{};
};

BoundKernel bind(const BindContext& node) {
  const ResizeOptions options = options_of(node);
  return {.run =
              [options, axes = AxesOfRun(node, node.rank(0))](const KernelContext& context, Inputs in, Outputs out) {
                const auto all = axes.of(in[0].shape, out[0].shape, in);
                cpu::resize(context, in[0], std::span(all).first(static_cast<size_t>(in[0].shape.rank())), options, out[0]);
              },
          .workspace =
              naming(node, [&] { return cpu::resize_workspace(node.shape(0), node.output_shape(0), options, node.threads()); })};
}

BoundKernel bind_grad(const BindContext& node) {
  const ResizeOptions options = options_of(node);
  return {.run =
              [options, axes = AxesOfRun(node, node.rank(0))](const KernelContext& context, Inputs in, Outputs out) {
                const auto all = axes.of(out[0].shape, in[0].shape, in);
                cpu::resize_backward(context, in[0], std::span(all).first(static_cast<size_t>(out[0].shape.rank())), options,
                                     out[0]);
              },
          .workspace = cpu::resize_workspace(node.output_shape(0), node.shape(0), options, node.threads())};
}

void gradient(GradientContext& node) {
  if (!node.wants(0)) return;
  const Inputs3 from = inputs_of(node);
  const auto list = [&](int i) { return i >= 0 && node.has_input(i) ? node.input(i) : kNoValue; };
  ValueId scales = list(from.scales);
  if (from.scales < 0) {
    const std::vector<float> values = scale_attributes(node, rank_of(node, node.input(0)));
    scales = node.constant(Tensor::of<float>({static_cast<int64_t>(values.size())}, values));
  }
  Attributes attributes;
  for (const auto& [name, value] : node.node().attributes)
    if (std::ranges::find(kAttributes, name) != std::end(kAttributes)) attributes[name] = value;
  if (is_old(node)) {
    attributes["coordinate_transformation_mode"] = std::string("asymmetric");
    attributes["nearest_mode"] = std::string("floor");
    if (node.get_string("mode", "nearest") == "bilinear") attributes["mode"] = std::string("linear");
  }
  node.set_input_grad(
      0, node.emit_internal("ResizeGrad",
                            {node.output_grad(), shape_of(node, node.input(0)), list(from.roi), scales, list(from.sizes)},
                            std::move(attributes)));
}

constexpr OpDef version(std::string_view name, int since, int until, int inputs, std::span<const std::string_view> attributes) {
  return {.name = name,
          .since = since,
          .until = until,
          .min_inputs = since == 11 || inputs == 1 ? 1 : 2,
          .max_inputs = inputs,
          .attributes = attributes,
          .infer = infer,
          .gradient = gradient,
          .cpu = bind,
          .host_inputs = input_set(1, 2, 3)};
}

constexpr OpDef resize_op_10 = version("Resize", 10, 11, 2, kMode);
constexpr OpDef resize_op_11 = version("Resize", 11, std::numeric_limits<int>::max(), 4, kAttributes);
constexpr OpDef upsample_op_1 = version("Upsample", 1, 7, 1, kPlaneScales);
constexpr OpDef upsample_op_7 = version("Upsample", 7, 9, 1, kScales);
constexpr OpDef upsample_op_9 = version("Upsample", 9, 10, 2, kMode);
constexpr OpDef resize_grad_op = {.name = "ResizeGrad",
                                  .domain = "tandem",
                                  .min_inputs = 2,
                                  .max_inputs = 5,
                                  .attributes = kAttributes,
                                  .infer = infer_grad,
                                  .cpu = bind_grad,
                                  .host_inputs = input_set(2, 3, 4),
                                  .shape_inputs = input_set(1)};

constexpr const OpDef* kOps[] = {&resize_op_10, &resize_op_11, &upsample_op_1, &upsample_op_7, &upsample_op_9, &resize_grad_op};

}  // namespace

extern const OpFamily resize_ops;
constinit const OpFamily resize_ops = kOps;

}  // namespace tandem
