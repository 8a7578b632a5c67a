#include "kernels/api/quantized_elementwise.h"

#include "kernels/api/quantize.h"
#include "kernels/cpu/broadcast.h"
#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {
namespace {

// i8 as u8, whose zero point is 128 more: the differences are the same.
LineOperand line_operand(const QuantizedOperand& o, int64_t step) {
  const bool is_signed = o.x.dtype == DType::kI8;
  return {o.x.data, step, is_signed ? std::byte{0x80} : std::byte{0}, o.scale, o.zero + (is_signed ? 128 : 0)};
}

}  // namespace

void look_up(const KernelContext& context, ConstTensorView x, ConstTensorView table, TensorView y) {
  const IntegerTier& tier = integer_tier(chosen_isa());
  parallel_chunks(context, x.elements(), kGrain,
                  [&](int64_t begin, int64_t end) { tier.look_up(x.data + begin, table.data, end - begin, y.data + begin); });
}

void quantized_binary(const KernelContext& context, BinaryOp op, const QuantizedOperand& a, const QuantizedOperand& b,
                      float y_scale, int32_t y_zero, TensorView y) {
  const BroadcastLoop<2> loop(y.shape, {&a.x.shape, &b.x.shape});
  const IntegerRange range = quantized_range(y.dtype);
  const LineOperand left = line_operand(a, loop.inner_stride(0)), right = line_operand(b, loop.inner_stride(1));
  const LineResult result = {op, y_scale, static_cast<float>(y_zero), range.lowest, range.highest};
  loop.run(context, [&](const std::array<int64_t, 2>& offsets, int64_t at, int64_t n) {
    LineOperand one = left, two = right;
    one.data += offsets[0], two.data += offsets[1];
    integer_tier(chosen_isa()).combine(one, two, n, result, y.data + at);
  });
}

}  // namespace tandem::cpu
