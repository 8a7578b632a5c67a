#include "kernels/api/quantized_elementwise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "kernels/api/quantize.h"
#include "kernels/cpu/broadcast.h"
#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {
namespace {

bool is_moderate(double scale) { return std::fabs(scale) > 1e-15 && std::fabs(scale) < 1e15; }

// Roundings of the definition and of this together, each of 2^-24 of the number: for products a dozen, of results that need not be saturated; for
// sums three of those (the sum, the quotient, the last multiply-add here), two of each term and two of each factor. Where f32 might overflow or
// underflow, always the definition.
QuickCombination quick_combination(BinaryOp op, const LineOperand& a, const LineOperand& b, float scale) {
  const double unit = static_cast<double>(scale), one = static_cast<double>(a.scale), two = static_cast<double>(b.scale);
  if (!is_moderate(one) || !is_moderate(two) || !is_moderate(unit)) return {0, 0, 0, -1};
  constexpr double kRoundings = 0x1p-20, kLargestResult = 300, kMostOfWhole = 0x1p30;  // the last: of what is made a whole number of 32 bits
  if (op == BinaryOp::kMul && !(255 * 255 * std::fabs(one * two / unit) < kMostOfWhole)) return {0, 0, 0, -1};
  if (op == BinaryOp::kMul)
    return {static_cast<float>(one * two / unit), static_cast<float>(b.zero), static_cast<float>(a.zero),
            static_cast<float>(0.5 - kLargestResult * kRoundings)};
  const double first = one / unit, second = two / unit, rest = -(first * a.zero + second * b.zero);
  const double largest = 255 * (std::fabs(first) + std::fabs(second)) + std::fabs(rest);
  return {static_cast<float>(first), static_cast<float>(second), static_cast<float>(rest), static_cast<float>(0.5 - (4 * largest + 4 * kLargestResult) * 0x1p-24)};
}

// Short lines of which one operand has the same for many: a factor a channel, behind the channels of every pixel. That one is laid out several times,
// so that lines become long ones.
class RepeatedLines {
 public:
  // Null if the operands are none of those.
  static std::optional<RepeatedLines> of(const BroadcastLayout<2>& layout) {
    if (layout.total == 0 || layout.rank < 2 || 2 * layout.inner_size() > kBytes) return std::nullopt;
    const auto inner = static_cast<size_t>(layout.rank - 1), rows = inner - 1;
    for (const size_t k : {0, 1})
      if (layout.inner_stride(0) == 1 && layout.inner_stride(1) == 1 && layout.strides[k][rows] == 0 &&
          layout.strides[1 - k][rows] == layout.inner_size())
        return RepeatedLines(layout, k);
    return std::nullopt;
  }

  size_t repeated() const { return repeated_; }

  void run(const KernelContext& context, const std::array<LineOperand, 2>& operands, const LineResult& result, CombineLines combine,
           std::byte* y) const {
    const int64_t n = layout_.inner_size(), rows = layout_.dims[static_cast<size_t>(layout_.rank - 2)], blocks = layout_.total / (rows * n);
    const int64_t together = std::min(rows, kBytes / n), groups = ceil_div(rows, together);
    parallel_chunks(context, blocks * groups, grain_of(together * n), [&](int64_t begin, int64_t end) {
      std::array<std::byte, kBytes> lines;
      int64_t filled = -1;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t block = i / groups, row = i % groups * together, count = std::min(together, rows - row);
        std::array<LineOperand, 2> at = operands;
        for (size_t k = 0; k < 2; ++k) at[k].data += offset_of(block, k);
        if (block != filled) repeat(at[repeated_].data, n, together, lines.data());
        filled = block;
        at[repeated_].data = lines.data(), at[1 - repeated_].data += row * n;
        combine(at[0], at[1], count * n, result, y + (block * rows + row) * n);
      }
    });
  }

  // Products: of the repeated operand's bytes, their factors and addends are laid out instead. Blocks of which one is not exact: as in `run`.
  void scale(const KernelContext& context, const std::array<LineOperand, 2>& operands, const LineResult& result, const IntegerTier& tier,
             const QuickProducts& products, std::byte* y) const {
    const int64_t n = layout_.inner_size(), rows = layout_.dims[static_cast<size_t>(layout_.rank - 2)], blocks = layout_.total / (rows * n);
    const int64_t together = std::min(rows, kFactors / n), groups = ceil_div(rows, together);
    parallel_chunks(context, blocks * groups, grain_of(together * n), [&](int64_t begin, int64_t end) {
      std::array<float, kFactors> factors, addends;
      std::array<std::byte, kFactors> lines;
      bool are_exact = false;
      int64_t filled = -1;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t block = i / groups, row = i % groups * together, count = std::min(together, rows - row);
        std::array<LineOperand, 2> at = operands;
        for (size_t k = 0; k < 2; ++k) at[k].data += offset_of(block, k);
        LineOperand& image = at[1 - repeated_];
        image.data += row * n;
        if (block != filled) {
          are_exact = true;
          for (int64_t j = 0; j < n; ++j) {
            const auto byte = static_cast<size_t>(at[repeated_].data[j]), to = static_cast<size_t>(j);
            factors[to] = products.factor[byte], addends[to] = products.addend[byte], are_exact &= products.is_exact[byte];
          }
          if (are_exact)
            for (float* line : {factors.data(), addends.data()})
              for (int64_t j = 1; j < together; ++j) std::copy_n(line, n, line + j * n);
          else
            repeat(at[repeated_].data, n, together, lines.data());
          filled = block;
        }
        at[repeated_].data = lines.data();
        std::byte* to = y + (block * rows + row) * n;
        if (are_exact)
          tier.scale_line(image, factors.data(), addends.data(), count * n, result, to);
        else
          tier.combine(at[0], at[1], count * n, result, to);
      }
    });
  }

 private:
  static constexpr int64_t kBytes = 4096, kFactors = kBytes / 2;
  RepeatedLines(const BroadcastLayout<2>& layout, size_t repeated) : layout_(layout), repeated_(repeated) {}

  static void repeat(const std::byte* line, int64_t n, int64_t times, std::byte* to) {
    for (int64_t i = 0; i < times; ++i) std::memcpy(to + i * n, line, static_cast<size_t>(n));
  }
  // Of a block of lines, in operand k.
  int64_t offset_of(int64_t block, size_t k) const {
    int64_t offset = 0;
    for (int axis = layout_.rank - 3; axis >= 0; --axis) {
      const auto a = static_cast<size_t>(axis);
      offset += block % layout_.dims[a] * layout_.strides[k][a];
      block /= layout_.dims[a];
    }
    return offset;
  }

  BroadcastLayout<2> layout_;
  size_t repeated_;
};

// The product of all bytes `own` and one of `other`, as one multiply-add: tried by the tier's kernels themselves.
class QuickProduct {
 public:
  QuickProduct(const IntegerTier& tier, LineOperand own, LineOperand other, std::byte bits, const LineResult& y) : tier_(tier), own_(own), y_(y) {
    for (size_t number = 0; number < 256; ++number) bytes_[number] = static_cast<std::byte>(number) ^ own.flip;
    own_.data = bytes_.data(), other.data = &bits, other.step = 0;
    tier.combine(own_, other, 256, y, expected_.data());
    const float number = dequantized(static_cast<float>(static_cast<uint8_t>(bits ^ other.flip)), static_cast<float>(other.zero), other.scale);
    factor_ = static_cast<float>(static_cast<double>(own.scale) * number / y.scale), addend_ = -static_cast<float>(own.zero) * factor_;
    is_exact_ = is_right() || (move_between_bounds() && is_right());
  }
  float factor() const { return factor_; }
  float addend() const { return addend_; }
  bool is_exact() const { return is_exact_; }

 private:
  // Numbers must fit an i32.
  bool is_right() const {
    if (!(255 * std::fabs(factor_) + std::fabs(addend_) < 0x1p30f)) return false;
    std::array<float, 256> factors, addends;
    factors.fill(factor_), addends.fill(addend_);
    std::array<std::byte, 256> found;
    tier_.scale_line(own_, factors.data(), addends.data(), 256, y_, found.data());
    return found == expected_;
  }
  // What may be added is bounded by each byte from both sides: to the middle of what they leave. False if that is nothing.
  bool move_between_bounds() {
    double least = static_cast<double>(addend_) - 0.5, most = static_cast<double>(addend_) + 0.5;
    for (size_t number = 0; number < 256; ++number) {
      const auto bits = static_cast<uint8_t>(expected_[number]);
      const float result = y_.lowest < 0 ? static_cast<float>(static_cast<int8_t>(bits)) : static_cast<float>(bits);
      const double rest = static_cast<double>(result - y_.zero) - static_cast<double>(factor_) * static_cast<double>(number);
      if (result > y_.lowest) least = std::max(least, rest - 0.5);
      if (result < y_.highest) most = std::min(most, rest + 0.5);
    }
    addend_ = static_cast<float>(least + (most - least) / 2);
    return least <= most;
  }

  const IntegerTier& tier_;
  LineOperand own_;
  const LineResult& y_;
  std::array<std::byte, 256> bytes_, expected_;
  float factor_, addend_;
  bool is_exact_;
};

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

std::shared_ptr<const QuickProducts> quick_products(const QuantizedOperand& a, const QuantizedOperand& b, float y_scale, int32_t y_zero,
                                                    const Shape& y, DType y_type, Isa isa) {
  const auto lines = RepeatedLines::of({y, {&a.x.shape, &b.x.shape}});
  const IntegerTier& tier = integer_tier(isa);
  if (!lines || !tier.scale_line) return nullptr;
  const std::array<LineOperand, 2> operands = {line_operand(a, 1), line_operand(b, 1)};
  const LineOperand &own = operands[1 - lines->repeated()], &other = operands[lines->repeated()];
  const LineResult result = line_result(BinaryOp::kMul, own, other, y_scale, static_cast<float>(y_zero), quantized_range(y_type));
  if (result.quick.limit < 0) return nullptr;
  auto products = std::make_shared<QuickProducts>();
  products->operand = lines->repeated();
  for (size_t bits = 0; bits < 256; ++bits) {
    const QuickProduct product(tier, own, other, static_cast<std::byte>(bits), result);
    products->factor[bits] = product.factor(), products->addend[bits] = product.addend(), products->is_exact[bits] = product.is_exact();
  }
  return products;
}

void quantized_binary(const KernelContext& context, BinaryOp op, const QuantizedOperand& a, const QuantizedOperand& b,
                      float y_scale, int32_t y_zero, TensorView y, const QuickProducts* products) {
  const BroadcastLoop<2> loop(y.shape, {&a.x.shape, &b.x.shape});
  const IntegerRange range = quantized_range(y.dtype);
  const LineOperand left = line_operand(a, loop.inner_stride(0)), right = line_operand(b, loop.inner_stride(1));
  const LineResult result = line_result(op, left, right, y_scale, static_cast<float>(y_zero), range);
  const IntegerTier& tier = integer_tier(chosen_isa());
  if (const auto lines = RepeatedLines::of({y.shape, {&a.x.shape, &b.x.shape}}))
    return products && products->operand == lines->repeated() && tier.scale_line
               ? lines->scale(context, {left, right}, result, tier, *products, y.data)
               : lines->run(context, {left, right}, result, tier.combine, y.data);
  loop.run(context, [&](const std::array<int64_t, 2>& offsets, int64_t at, int64_t n) {
    LineOperand one = left, two = right;
    one.data += offsets[0], two.data += offsets[1];
    tier.combine(one, two, n, result, y.data + at);
  });
}

}  // namespace tandem::cpu
