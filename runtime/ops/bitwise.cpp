// BitShift (ONNX 11) and BitwiseAnd, BitwiseOr, BitwiseXor (18) on integers, with NumPy broadcasting.
#include "kernels/api/elementwise.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

constexpr Alias kInPlace[] = {{.input = 0, .output = 0}, {.input = 1, .output = 0}};
constexpr std::string_view kDirection[] = {"direction"};

void infer_integers(InferenceContext& node) {
  node.require(is_integer(node.dtype(0)), "operands must be integers (type)", name(node.dtype(0)));
  node.require_same_dtype(0, 1);
  node.set_output(0, node.dtype(0), node.broadcast_dims(0, 1));
}

BinaryOp shift_of(const NodeContext& node) {
  const std::string direction = node.get_string("direction", "");
  node.require(direction == "LEFT" || direction == "RIGHT", "direction must be LEFT or RIGHT", direction);
  return direction == "LEFT" ? BinaryOp::kShiftLeft : BinaryOp::kShiftRight;
}
void infer_shift(InferenceContext& node) {
  shift_of(node);
  infer_integers(node);
}

template <auto kernel, BinaryOp op>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, op, in[0], in[1], out[0]); }};
}
template <auto kernel>
BoundKernel bind_shift(const BindContext& node) {
  return {.run = [op = shift_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, op, in[0], in[1], out[0]);
  }};
}

template <BinaryOp op>
constexpr OpDef bitwise(std::string_view name) {
  return {.name = name,
          .since = 18,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer_integers,
          .cpu = bind<cpu::binary, op>,
          .cuda = on_cuda(bind<cuda::binary, op>),
          .aliases = kInPlace};
}

constexpr OpDef bitwise_and_op = bitwise<BinaryOp::kBitAnd>("BitwiseAnd");
constexpr OpDef bitwise_or_op = bitwise<BinaryOp::kBitOr>("BitwiseOr");
constexpr OpDef bitwise_xor_op = bitwise<BinaryOp::kBitXor>("BitwiseXor");
constexpr OpDef bit_shift_op = {.name = "BitShift",
                                .since = 11,
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .attributes = kDirection,
                                .infer = infer_shift,
                                .cpu = bind_shift<cpu::binary>,
                                .cuda = on_cuda(bind_shift<cuda::binary>),
                                .aliases = kInPlace};

constexpr const OpDef* kOps[] = {&bitwise_and_op, &bitwise_or_op, &bitwise_xor_op, &bit_shift_op};

}  // namespace

extern const OpFamily bitwise_ops;
constinit const OpFamily bitwise_ops = kOps;

}  // namespace tandem
