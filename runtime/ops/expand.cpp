// Expand (ONNX 8) broadcasts to a shape, Tile (6) repeats. Gradient of Tile: tandem.TileGrad(dy, shape of x), the sum of the
// copies.
#include "kernels/api/movement.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

void infer_expand(InferenceContext& node) {
  node.require_dtype(1, DType::kI64);
  const auto dims = node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt;
  auto shape = node.content(1);
  const bool is_open = !shape;
  if (!shape && node.has_rank(1) && node.rank(1) == 1 && node.dims(1)[0].known() && node.dims(1)[0].size <= Shape::kMaxRank)
    shape = Dims(static_cast<size_t>(node.dims(1)[0].size));  // the rank is known at least
  auto y = node.broadcast_dims(dims, shape);
  // Sizes that the input happens to settle in a plan may be 1 in a run, and then the shape tells: the run decides.
  if (is_open && y && !y->empty() && fixed_shape(*y)) y->front() = Dim();
  node.set_output(0, node.dtype(0), std::move(y));
}
void expand_gradient(GradientContext& node) {
  if (node.wants(0)) node.set_input_grad(0, node.reduce_to(node.output_grad(), node.input(0)));
}
// The output's shape says all.
template <auto kernel>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], out[0]); }};
}

void infer_tile(InferenceContext& node) {
  node.require_dtype(1, DType::kI64);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims dims = node.dims(0);
  const auto repeats = node.content(1);
  if (repeats)
    node.require(repeats->size() == dims.size(), "one repeat an axis is needed (repeats, rank)", repeats->size(), dims.size());
  for (size_t i = 0; i < dims.size(); ++i) {
    const Dim both[] = {dims[i], repeats ? (*repeats)[i] : Dim()};
    dims[i] = product(both);
  }
  node.set_output(0, node.dtype(0), std::move(dims));
}
void tile_gradient(GradientContext& node) {
  if (node.wants(0)) node.set_input_grad(0, node.emit_internal("TileGrad", {node.output_grad(), shape_of(node, node.input(0))}));
}

void infer_tile_grad(InferenceContext& node) {
  node.require_float(0);
  node.set_output(0, node.dtype(0), node.content(1));
}

constexpr OpDef expand_op = {.name = "Expand",
                             .since = 8,
                             .min_inputs = 2,
                             .max_inputs = 2,
                             .infer = infer_expand,
                             .gradient = expand_gradient,
                             .cpu = bind<cpu::expand>,
                             .cuda = on_cuda(bind<cuda::expand>),
                             .shape_inputs = input_set(1),
                             .elements = Elements::kMoved};
constexpr OpDef tile_op = {.name = "Tile",
                           .since = 6,
                           .min_inputs = 2,
                           .max_inputs = 2,
                           .infer = infer_tile,
                           .gradient = tile_gradient,
                           .cpu = bind<cpu::tile>,
                           .cuda = on_cuda(bind<cuda::tile>),
                           .shape_inputs = input_set(1),
                           .elements = Elements::kMoved};
constexpr OpDef tile_grad_op = {.name = "TileGrad",
                                .domain = "tandem",
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .infer = infer_tile_grad,
                                .cpu = bind<cpu::tile_backward>,
                                .cuda = on_cuda(bind<cuda::tile_backward>),
                                .shape_inputs = input_set(1)};

constexpr const OpDef* kOps[] = {&expand_op, &tile_op, &tile_grad_op};

}  // namespace

extern const OpFamily expand_ops;
constinit const OpFamily expand_ops = kOps;

}  // namespace tandem
