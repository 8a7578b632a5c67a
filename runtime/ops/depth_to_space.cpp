// DepthToSpace (ONNX 1 to 13; mode from 11) and SpaceToDepth (1, 13): a transpose of the input seen with six axes, and
// tandem.DepthToSpaceGrad, the way back in either mode. tandem.ChannelsLastDepthToSpace and ChannelsLastSpaceToDepth are the same of
// [batch, height, width, channels], which the pass layout_assignment puts into plans for the CPU.
#include "kernels/api/movement.h"
#include "runtime/ops/channels_last.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kBlock[] = {"blocksize"}, kBlockAndMode[] = {"blocksize", "mode"};

int64_t block_of(const NodeContext& node) {
  const int64_t block = node.get_int("blocksize", 0);
  node.require(block >= 1, "blocksize must be positive", block);
  return block;
}
// Whether the blocks are the outer part of the channels (DCR), not the inner (CRD).
bool blocks_first(const NodeContext& node) {
  const std::string mode = node.get_string("mode", "DCR");
  node.require(mode == "DCR" || mode == "CRD", "mode must be DCR or CRD", mode);
  return mode == "DCR";
}

Dim times(const InferenceContext& node, const Dim& dim, int64_t factor) {
  return naming(node, [&] { return product(std::vector<Dim>{dim, Dim(factor)}); });
}
Dim divided(const InferenceContext& node, const Dim& dim, int64_t divisor) {
  if (!dim.known()) return quotient(dim, Dim(divisor));
  node.require(dim.size % divisor == 0, "blocksize does not divide the input (dimension, divisor)", dim.size, divisor);
  return Dim(dim.size / divisor);
}

// x and the result are [batch, channels, height, width].
template <bool to_space>
Dims moved(const InferenceContext& node, const Dims& x) {
  const int64_t block = block_of(node), area = naming(node, [&] { return checked_mul(block, block, "blocksize"); });
  if constexpr (to_space) return {x[0], divided(node, x[1], area), times(node, x[2], block), times(node, x[3], block)};
  else return {x[0], times(node, x[1], area), divided(node, x[2], block), divided(node, x[3], block)};
}

template <bool to_space, bool last = false>
void infer(InferenceContext& node) {
  block_of(node);
  blocks_first(node);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  const Dims& x = node.dims(0);
  node.require(x.size() == 4, last ? "input must be [batch, height, width, channels]" : "input must be [batch, channels, height, width]", to_string(x));
  node.set_output(0, node.dtype(0), last ? channels_last(moved<to_space>(node, channels_first(x))) : moved<to_space>(node, x));
}

template <auto transpose>
BoundKernel bind_to_space(const BindContext& node) {
  return {.run = [block = block_of(node), outer = blocks_first(node)](const KernelContext& context, Inputs in, Outputs out) {
    constexpr int64_t kOuter[] = {0, 3, 4, 1, 5, 2}, kInner[] = {0, 1, 4, 2, 5, 3};
    const Shape& s = in[0].shape;
    const int64_t channels = out[0].shape[1];
    ConstTensorView x = in[0];
    TensorView y = out[0];
    x.shape = outer ? Shape{s[0], block, block, channels, s[2], s[3]} : Shape{s[0], channels, block, block, s[2], s[3]};
    y.shape = Shape{s[0], channels, s[2], block, s[3], block};
    transpose(context, x, outer ? std::span(kOuter) : std::span(kInner), y);
  }};
}

template <auto transpose>
BoundKernel bind_to_depth(const BindContext& node) {
  return {.run = [block = block_of(node), outer = blocks_first(node)](const KernelContext& context, Inputs in, Outputs out) {
    constexpr int64_t kOuter[] = {0, 3, 5, 1, 2, 4}, kInner[] = {0, 1, 3, 5, 2, 4};
    const Shape& s = out[0].shape;
    const int64_t channels = in[0].shape[1];
    ConstTensorView x = in[0];
    TensorView y = out[0];
    x.shape = Shape{s[0], channels, s[2], block, s[3], block};
    y.shape = outer ? Shape{s[0], block, block, channels, s[2], s[3]} : Shape{s[0], channels, block, block, s[2], s[3]};
    transpose(context, x, outer ? std::span(kOuter) : std::span(kInner), y);
  }};
}

BoundKernel bind_to_space_last(const BindContext& node) {
  return {.run = [block = block_of(node), outer = blocks_first(node)](const KernelContext& context, Inputs in, Outputs out) {
    constexpr int64_t kOuter[] = {0, 1, 3, 2, 4, 5}, kInner[] = {0, 1, 4, 2, 5, 3};
    const Shape& s = in[0].shape;
    const int64_t channels = out[0].shape[3];
    ConstTensorView x = in[0];
    TensorView y = out[0];
    x.shape = outer ? Shape{s[0], s[1], s[2], block, block, channels} : Shape{s[0], s[1], s[2], channels, block, block};
    y.shape = Shape{s[0], s[1], block, s[2], block, channels};
    cpu::transpose(context, x, outer ? std::span(kOuter) : std::span(kInner), y);
  }};
}

BoundKernel bind_to_depth_last(const BindContext& node) {
  return {.run = [block = block_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    constexpr int64_t kOuter[] = {0, 1, 3, 2, 4, 5};
    const Shape& s = out[0].shape;
    const int64_t channels = in[0].shape[3];
    ConstTensorView x = in[0];
    TensorView y = out[0];
    x.shape = Shape{s[0], s[1], block, s[2], block, channels};
    y.shape = Shape{s[0], s[1], s[2], block, block, channels};
    cpu::transpose(context, x, kOuter, y);
  }};
}

void to_space_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("DepthToSpaceGrad", {node.output_grad()}, node.node().attributes));
}
void to_depth_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit("DepthToSpace", {node.output_grad()}, node.node().attributes));
}

constexpr OpDef depth_to_space_op = {.name = "DepthToSpace",
                                     .attributes = kBlockAndMode,
                                     .infer = infer<true>,
                                     .gradient = to_space_gradient,
                                     .cpu = bind_to_space<cpu::transpose>,
                                     .cuda = on_cuda(bind_to_space<cuda::transpose>),
                                     .elements = Elements::kMoved};
constexpr OpDef space_to_depth_op = {.name = "SpaceToDepth",
                                     .attributes = kBlock,
                                     .infer = infer<false>,
                                     .gradient = to_depth_gradient,
                                     .cpu = bind_to_depth<cpu::transpose>,
                                     .cuda = on_cuda(bind_to_depth<cuda::transpose>),
                                     .elements = Elements::kMoved};
constexpr OpDef depth_to_space_grad_op = {.name = "DepthToSpaceGrad",
                                          .domain = "tandem",
                                          .attributes = kBlockAndMode,
                                          .infer = infer<false>,
                                          .cpu = bind_to_depth<cpu::transpose>,
                                          .cuda = on_cuda(bind_to_depth<cuda::transpose>),
                                          .elements = Elements::kMoved};

constexpr OpDef depth_to_space_last_op = {.name = "ChannelsLastDepthToSpace",
                                          .domain = "tandem",
                                          .attributes = kBlockAndMode,
                                          .infer = infer<true, true>,
                                          .cpu = bind_to_space_last,
                                          .elements = Elements::kMoved};
constexpr OpDef space_to_depth_last_op = {.name = "ChannelsLastSpaceToDepth",
                                          .domain = "tandem",
                                          .attributes = kBlock,
                                          .infer = infer<false, true>,
                                          .cpu = bind_to_depth_last,
                                          .elements = Elements::kMoved};

constexpr const OpDef* kOps[] = {&depth_to_space_op, &space_to_depth_op, &depth_to_space_grad_op, &depth_to_space_last_op,
                                 &space_to_depth_last_op};

}  // namespace

extern const OpFamily depth_to_space_ops;
constinit const OpFamily depth_to_space_ops = kOps;

}  // namespace tandem
