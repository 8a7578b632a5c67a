// GridSample (ONNX 16: images, modes bilinear and bicubic; 20: volumes too, linear and cubic) and AffineGrid (20), and the
// gradients tandem.GridSampleInputGrad(dy, grid, like x), GridSampleGridGrad(dy, x, grid) and AffineGridGrad(dgrid).
#include "kernels/api/grid_sample.h"

#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"align_corners", "mode", "padding_mode"}, kAlign[] = {"align_corners"};

// The gradients' attributes are those of 20.
SampleOptions options_of(const NodeContext& node) {
  const bool old = node.node().def->domain.empty() && node.node().def->since < 20;
  const std::string mode = node.get_string("mode", old ? "bilinear" : "linear"),
                    padding = node.get_string("padding_mode", "zeros");
  SampleOptions options;
  options.align_corners = node.get_int("align_corners", 0) != 0;
  if (mode == "nearest")
    options.mode = SampleMode::kNearest;
  else if (mode == (old ? "bilinear" : "linear"))
    options.mode = SampleMode::kLinear;
  else if (mode == (old ? "bicubic" : "cubic"))
    options.mode = SampleMode::kCubic;
  else
    node.reject(old ? "mode must be bilinear, nearest or bicubic" : "mode must be linear, nearest or cubic", mode);
  if (padding == "zeros")
    options.padding = SamplePadding::kZeros;
  else if (padding == "border")
    options.padding = SamplePadding::kBorder;
  else if (padding == "reflection")
    options.padding = SamplePadding::kReflection;
  else
    node.reject("padding_mode must be zeros, border or reflection", padding);
  return options;
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  options_of(node);
  if (!node.has_rank(0) && !node.has_rank(1)) return node.set_output(0, node.dtype(0), std::nullopt);
  const size_t rank = static_cast<size_t>(node.has_rank(0) ? node.rank(0) : node.rank(1));
  node.require(rank >= 3 && rank <= 5, "X must have 1 to 3 spatial axes; its rank", rank);
  Dims y(rank);
  if (node.has_rank(0)) y[0] = node.dims(0)[0], y[1] = node.dims(0)[1];
  if (node.has_rank(1)) {
    const Dims& grid = node.dims(1);
    node.require(grid.size() == rank && !differ(grid.back(), Dim(static_cast<int64_t>(rank) - 2)),
                 "grid must be [batch, output sizes, one position an axis] (grid)", to_string(grid));
    node.require(!differ(grid[0], y[0]), "X and grid differ in the batch (X, grid)", to_string(node.dims(0)), to_string(grid));
    y[0] = better(y[0], grid[0]);
    std::copy(grid.begin() + 1, grid.end() - 1, y.begin() + 2);
  }
  node.set_output(0, node.dtype(0), std::move(y));
}

BoundKernel bind(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::grid_sample(context, in[0], in[1], options, out[0]);
  }};
}

void gradient(GradientContext& node) {
  Attributes attributes = node.node().attributes;
  if (const auto mode = attributes.find("mode");
      mode != attributes.end() && std::get<std::string>(mode->second).starts_with("bi"))
    mode->second = std::get<std::string>(mode->second).substr(2);
  const ValueId dy = node.output_grad(), x = node.input(0), grid = node.input(1);
  if (node.wants(0)) node.set_input_grad(0, node.emit_internal("GridSampleInputGrad", {dy, grid, x}, attributes));
  if (node.wants(1)) node.set_input_grad(1, node.emit_internal("GridSampleGridGrad", {dy, x, grid}, attributes));
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  for (int i : {1, 2}) node.require_same_dtype(0, i);
  options_of(node);
  node.set_output_like(0, 2);
}

BoundKernel bind_input_grad(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::grid_sample_input_grad(context, in[0], in[1], options, out[0]);
  }};
}
BoundKernel bind_grid_grad(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::grid_sample_grid_grad(context, in[0], in[1], in[2], options, out[0]);
  }};
}

// size is [batch, channels, output...]; the grid has no channels.
void infer_affine(InferenceContext& node) {
  require_float(node, 0);
  node.require_dtype(1, DType::kI64);
  const auto size = node.content(1);
  if (!size)
    return node.set_output(0, node.dtype(0),
                           node.has_rank(1) && node.dims(1)[0].known()
                               ? std::optional(Dims(static_cast<size_t>(node.dims(1)[0].size)))
                               : std::nullopt);
  node.require(size->size() == 4 || size->size() == 5, "size must have 4 or 5 elements", size->size());
  const auto axes = static_cast<int64_t>(size->size()) - 2;
  if (node.has_rank(0)) {
    const Dims& theta = node.dims(0);
    node.require(
        theta.size() == 3 && !differ(theta[1], Dim(axes)) && !differ(theta[2], Dim(axes + 1)) && !differ(theta[0], (*size)[0]),
        "theta must be [batch, axes, axes + 1] (theta, size)", to_string(theta), to_string(*size));
  }
  Dims grid = *size;
  grid.erase(grid.begin() + 1);
  grid.push_back(Dim(axes));
  node.set_output(0, node.dtype(0), std::move(grid));
}

BoundKernel bind_affine(const BindContext& node) {
  return {.run = [align = node.get_int("align_corners", 0) != 0](const KernelContext& context, Inputs in, Outputs out) {
    cpu::affine_grid(context, in[0], align, out[0]);
  }};
}

void affine_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("AffineGridGrad", {node.output_grad()}, node.node().attributes));
}

void infer_affine_grad(InferenceContext& node) {
  require_float(node, 0);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  node.require(node.rank(0) == 4 || node.rank(0) == 5, "the grid must have 2 or 3 axes", node.rank(0));
  const int64_t axes = node.rank(0) - 2;
  node.set_output(0, node.dtype(0), Dims{node.dims(0)[0], Dim(axes), Dim(axes + 1)});
}

BoundKernel bind_affine_grad(const BindContext& node) {
  return {.run = [align = node.get_int("align_corners", 0) != 0](const KernelContext& context, Inputs in, Outputs out) {
    cpu::affine_grid_grad(context, in[0], align, out[0]);
  }};
}

constexpr OpDef sample(int since, int until) {
  return {.name = "GridSample",
          .since = since,
          .until = until,
          .min_inputs = 2,
          .max_inputs = 2,
          .attributes = kAttributes,
          .infer = infer,
          .gradient = gradient,
          .cpu = bind};
}
constexpr OpDef sample_grad(std::string_view name, BoundKernel (*bind)(const BindContext&), uint32_t shape_inputs) {
  return {.name = name,
          .domain = "tandem",
          .min_inputs = 3,
          .max_inputs = 3,
          .attributes = kAttributes,
          .infer = infer_grad,
          .cpu = bind,
          .shape_inputs = shape_inputs};
}
constexpr OpDef grid_sample_op_16 = sample(16, 20);
constexpr OpDef grid_sample_op_20 = sample(20, std::numeric_limits<int>::max());
constexpr OpDef affine_grid_op = {.name = "AffineGrid",
                                  .since = 20,
                                  .min_inputs = 2,
                                  .max_inputs = 2,
                                  .attributes = kAlign,
                                  .infer = infer_affine,
                                  .gradient = affine_gradient,
                                  .cpu = bind_affine,
                                  .shape_inputs = input_set(1)};

constexpr OpDef input_grad_op = sample_grad("GridSampleInputGrad", bind_input_grad, input_set(2));
constexpr OpDef grid_grad_op = sample_grad("GridSampleGridGrad", bind_grid_grad, 0);
constexpr OpDef affine_grad_op = {
    .name = "AffineGridGrad", .domain = "tandem", .attributes = kAlign, .infer = infer_affine_grad, .cpu = bind_affine_grad};

constexpr const OpDef* kOps[] = {&grid_sample_op_16, &grid_sample_op_20, &affine_grid_op,
                                 &input_grad_op,     &grid_grad_op,      &affine_grad_op};

}  // namespace

extern const OpFamily grid_sample_ops;
constinit const OpFamily grid_sample_ops = kOps;

}  // namespace tandem
