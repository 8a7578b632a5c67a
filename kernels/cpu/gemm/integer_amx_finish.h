// How sums that left the tiles of AMX become bytes beside the products of those that follow.
//
// The processor looks only some hundred instructions ahead: so the finish goes in pieces between the products.
#pragma once

#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {

// Sums that are made and not yet finished: rows of some panels, `stride` apart.
struct PendingSums {
  int64_t row = 0, rows = 0, column = 0, panels = 0, stride = 0;
  int32_t* sums = nullptr;
  PanelScales scales{};

  // As lines of bytes without more ado.
  bool is_plain(const IntegerBlock& b) const { return is_plain_result(b) && column + panels * kPanelColumns <= b.columns; }
  static bool is_plain_result(const IntegerBlock& b) { return b.result.quantized && !b.row_sums && !b.row_zeros; }
};

// Their finish, a few lines at a time between the products of the next tile: so it costs next to nothing where sums have many
// terms.
template <class V, int P>
class PlainFinishing {
 public:
  PlainFinishing(const IntegerBlock& b, const PendingSums& pending, int64_t products)
      : b_(b),
        pending_(pending),
        lines_(pending.scales),
        sums_(pending.sums),
        rest_(pending.rows),
        out_(b.result.quantized + pending.row * b.result.stride + pending.column) {
    if (products > 0) steps_ = (ceil_div_lines(rest_) + products - 1) / products;
  }
  [[gnu::always_inline]] void operator()() {
    for (int64_t i = 0; i < steps_ && rest_ > 0; ++i) step();
  }
  [[gnu::always_inline]] void end() {
    while (rest_ > 0) step();
    if (const uint32_t near = lines_.near_ties(); near != 0) settle(b_, pending_, near);
  }

 private:
  using Lines = FinishedLines<V, P>;
  static constexpr int64_t kLines = Lines::kLines;
  static int64_t ceil_div_lines(int64_t rows) { return (rows + kLines - 1) / kLines; }
  [[gnu::always_inline]] void step() {
    lines_.quantize(sums_, pending_.stride, rest_, out_, b_.result.stride);
    sums_ += kLines * pending_.stride, out_ += kLines * b_.result.stride, rest_ -= kLines;
  }

  [[gnu::noinline]] static void settle(const IntegerBlock& b, const PendingSums& p, uint32_t near) {
    IntegerFinish<V>::settle_panels(near, b.result.scales, p.scales, p.sums, p.stride, p.rows, p.column, P * kPanelColumns,
                                    b.result.quantized + p.row * b.result.stride + p.column, b.result.stride);
  }

  const IntegerBlock& b_;
  const PendingSums& pending_;
  Lines lines_;
  const int32_t* sums_;
  int64_t rest_, steps_ = 0;
  std::byte* out_;
};
// All of it behind the products.
template <class V>
class WholeFinishing {
 public:
  WholeFinishing(const IntegerBlock& b, const PendingSums& pending, int64_t) : b_(b), p_(pending) {}
  void operator()() {}
  void end() {
    if (p_.rows > 0) IntegerFinish<V>::finish(b_, p_.scales, p_.sums, p_.stride, p_.row, p_.rows, p_.column, p_.panels);
  }

 private:
  const IntegerBlock& b_;
  const PendingSums& p_;
};

// Lines of P panels with a residual added, in any tier's way; a tier may have another.
template <class V, int P>
class SettledResidual {
 public:
  SettledResidual(const IntegerBlock& b, const PanelScales& scales, int64_t column) : b_(b), scales_(scales), column_(column) {}
  void line(const int32_t* sums, int64_t row) const {
    IntegerFinish<V>::template finish_panels<P>(b_.result, scales_, sums, P * kPanelColumns, row, 1, column_, P * kPanelColumns);
    const int64_t at = row * b_.result.stride + column_;
    b_.residual->add(at, P * kPanelColumns, b_.result.quantized + at);
  }

 private:
  const IntegerBlock& b_;
  const PanelScales& scales_;
  int64_t column_;
};

// Residual lines of four panels in any tier's way, as a tier may have its own: for any sum, for one that is quick, and how to find such.
template <class V>
struct SettledResiduals {
  using Any = SettledResidual<V, 4>;
  using Quick = Any;
  static constexpr QuickResidual (*find)(const ResidualLines&) = nullptr;
};

template <class Lines>
class ResidualFinishing {
 public:
  ResidualFinishing(const IntegerBlock& b, const PendingSums& pending, int64_t products)
      : lines_(b, pending.scales, pending.column),
        sums_(pending.sums),
        stride_(pending.stride),
        row_(pending.row),
        end_(pending.row + pending.rows) {
    if (products > 0) steps_ = (pending.rows + products - 1) / products;
  }
  [[gnu::always_inline]] void operator()() {
    for (int64_t i = 0; i < steps_ && row_ < end_; ++i) step();
  }
  [[gnu::always_inline]] void end() {
    while (row_ < end_) step();
  }

 private:
  [[gnu::always_inline]] void step() {
    lines_.line(sums_, row_);
    sums_ += stride_, ++row_;
  }

  Lines lines_;
  const int32_t* sums_;
  int64_t stride_, row_, end_, steps_ = 0;
};

}  // namespace tandem::cpu
