#include "kernels/api/quantized_elementwise.h"

#include <cmath>

#include "kernels/api/quantize.h"
#include "kernels/cpu/broadcast.h"
#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {
namespace {

bool is_moderate(double scale) { return std::fabs(scale) > 1e-15 && std::fabs(scale) < 1e15; }

// A dozen roundings of the definition and of this together, each of 2^-24 of the largest number on the way: of a product, of those that
// need not be saturated. Where f32 might overflow or underflow, always the definition.
QuickCombination quick_combination(BinaryOp op, const LineOperand& a, const LineOperand& b, float scale) {
  const double unit = static_cast<double>(scale), one = static_cast<double>(a.scale), two = static_cast<double>(b.scale);
  if (!is_moderate(one) || !is_moderate(two) || !is_moderate(unit)) return {0, 0, 0, -1};
  constexpr double kRoundings = 0x1p-20, kLargestResult = 300;
  if (op == BinaryOp::kMul)
    return {static_cast<float>(one * two / unit), static_cast<float>(b.zero), static_cast<float>(a.zero),
            static_cast<float>(0.5 - kLargestResult * kRoundings)};
  const double first = one / unit, second = two / unit, rest = -(first * a.zero + second * b.zero);
  const double largest = 255 * (std::fabs(first) + std::fabs(second)) + std::fabs(rest);
  return {static_cast<float>(first), static_cast<float>(second), static_cast<float>(rest), static_cast<float>(0.5 - largest * kRoundings)};
}

}  // namespace

LineOperand line_operand(const QuantizedOperand& o, int64_t step) {
  const bool is_signed = o.x.dtype == DType::kI8;
  return {o.x.data, step, is_signed ? std::byte{0x80} : std::byte{0}, o.scale, o.zero + (is_signed ? 128 : 0)};
}

LineResult line_result(BinaryOp op, const LineOperand& a, const LineOperand& b, float scale, float zero, IntegerRange range) {
  return {op, scale, zero, range.lowest, range.highest, quick_combination(op, a, b, scale)};
}

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
  const LineResult result = line_result(op, left, right, y_scale, static_cast<float>(y_zero), range);
  const IntegerTier& tier = integer_tier(chosen_isa());
  loop.run(context, [&](const std::array<int64_t, 2>& offsets, int64_t at, int64_t n) {
    LineOperand one = left, two = right;
    one.data += offsets[0], two.data += offsets[1];
    tier.combine(one, two, n, result, y.data + at);
  });
}

}  // namespace tandem::cpu
