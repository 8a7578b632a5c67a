// PRelu: x < 0 ? slope * x : x. From ONNX 7 on the slope broadcasts to x; before, it holds one value or one a channel (axis 1).
#include "kernels/api/elementwise.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"

namespace tandem {
namespace {

constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr int kBroadcastVersion = 7;

void infer(InferenceContext& node) {
  require_arithmetic(node, 0);
  node.require_same_dtype(0, 1);
  if (node.node().def->since >= kBroadcastVersion && node.has_rank(0) && node.has_rank(1)) {
    node.broadcast_dims(0, 1);  // says so if they do not fit
    node.require(node.rank(1) <= node.rank(0), "slope has more axes than the input (slope, input)", to_string(node.dims(1)),
                 to_string(node.dims(0)));
  }
  node.set_output_like(0, 0);
}

// How many axes of x stand behind the one that an old slope of rank 1 belongs to.
int axes_behind(const OpDef& def, int rank, int slope_rank) {
  return def.since < kBroadcastVersion && slope_rank == 1 ? std::max(rank - 2, 0) : 0;
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  return {.run = [def = node.node().def](const KernelContext& context, Inputs in, Outputs out) {
    ConstTensorView slope = in[1];
    const int behind = slope.elements() == 1 ? 0 : axes_behind(*def, in[0].shape.rank(), slope.shape.rank());
    for (int i = 0; i < behind; ++i) slope.shape.push_back(1);
    kernel(context, BinaryOp::kPRelu, in[0], slope, out[0]);
  }};
}

void gradient(GradientContext& node) {
  const ValueId x = node.input(0), dy = node.output_grad(), zero = node.scalar(0, node.type(x).dtype);
  ValueId slope = node.input(1);
  if (const int behind = axes_behind(*node.node().def, rank_of(node, x), rank_of(node, slope))) {
    std::vector<int64_t> axes;
    for (int i = 1; i <= behind; ++i) axes.push_back(i);
    slope = node.emit("Unsqueeze", {slope, node.ints(axes)});
  }
  if (node.wants(0)) {
    const ValueId scaled = node.emit("Mul", {dy, slope});
    node.set_input_grad(0, node.emit("Where", {node.emit("Less", {x, zero}), scaled, dy}));
  }
  if (!node.wants(1)) return;
  const ValueId total = node.reduce_to(node.emit("Mul", {dy, node.emit("Min", {x, zero})}), slope);
  node.set_input_grad(1, slope == node.input(1) ? total : reshape_like(node, total, node.input(1)));
}

constexpr OpDef prelu(int since, int until) {
  return {.name = "PRelu",
          .since = since,
          .until = until,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer,
          .gradient = gradient,
          .cpu = bind<cpu::binary>,
          .cuda = on_cuda(bind<cuda::binary>),
          .aliases = kInPlace};
}

constexpr OpDef prelu_op_6 = prelu(6, kBroadcastVersion);
constexpr OpDef prelu_op_7 = prelu(kBroadcastVersion, std::numeric_limits<int>::max());

constexpr const OpDef* kOps[] = {&prelu_op_6, &prelu_op_7};

}  // namespace

extern const OpFamily prelu_ops;
constinit const OpFamily prelu_ops = kOps;

}  // namespace tandem
