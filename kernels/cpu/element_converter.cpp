// A loop for each pair of the types that are computed with; the others (f16, bf16, float8, float4 and integers below 8 bits) come
// and go through one of those that loses nothing (f32, f64, i32 or i8), a block at a time.
#include "kernels/cpu/element_converter.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "kernels/api/convert.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/simd/bf16_rows.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBlock = 512;  // elements between two loops: at most 4 KiB, in the first-level cache

// What half.h defines, without branches: these loops vectorise.
float widened(F16 x) {
  const uint32_t bits = uint32_t{x.bits} << 13 & 0x0FFFE000u;     // exponent and fraction, where f32 has them
  const float magnitude = std::bit_cast<float>(bits) * 0x1p112f;  // the difference of the biases; exact
  const uint32_t special = bits >= 0x0F800000u ? 0x7F800000u | bits : std::bit_cast<uint32_t>(magnitude);  // infinity, NaN
  return std::bit_cast<float>(special | static_cast<uint32_t>(x.bits & 0x8000u) << 16);
}
F16 narrowed(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7FFFFFFFu;
  const uint32_t normal = (magnitude + 0xFFFu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
  const uint32_t subnormal =
      std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude < 0x38800000u ? magnitude : 0u) + 0.5f) - 0x3F000000u;
  uint32_t half = magnitude < 0x38800000u ? subnormal : normal;
  half = magnitude >= 0x477FF000u ? 0x7C00u : half;
  half = magnitude > 0x7F800000u ? 0x7E00u : half;
  return {static_cast<uint16_t>(half | (bits >> 16 & 0x8000u))};
}

template <class From, class To>
void convert_loop(const std::byte* in, std::byte* out, int64_t n, NarrowRules rules) {
  const From* x = reinterpret_cast<const From*>(in);
  To* y = reinterpret_cast<To*>(out);
  if constexpr (std::is_same_v<From, F16>)
    for (int64_t i = 0; i < n; ++i) y[i] = widened(x[i]);
  else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, F16>)
    for (int64_t i = 0; i < n; ++i) y[i] = narrowed(x[i]);
  else if constexpr (std::is_same_v<From, BF16> && std::is_same_v<To, float>)
    simd::bf16_row_ops().widen(x, y, n);
  else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, BF16>)
    simd::bf16_row_ops().narrow(x, y, n);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = convert<To>(x[i], rules);
}
// To a double that rounds on to 16 bits and fewer as the number itself would.
template <class From>
void widen_loop(const std::byte* in, std::byte* out, int64_t n, NarrowRules) {
  const From* x = reinterpret_cast<const From*>(in);
  double* y = reinterpret_cast<double*>(out);
  for (int64_t i = 0; i < n; ++i) y[i] = to_wide(x[i]);
}

bool is_narrow_integer(DType t) { return t == DType::kU4 || t == DType::kI4 || t == DType::kU2 || t == DType::kI2; }
bool is_common(DType t) { return t != DType::kF16 && t != DType::kBF16 && !is_narrow(t); }

template <class F>
decltype(auto) visit_uncommon(DType t, F&& f) {
  if (t == DType::kF16) return f.template operator()<F16>();
  if (t == DType::kBF16) return f.template operator()<BF16>();
  return visit_narrow(t, f);
}

}  // namespace

// From a type outside the common ones to the common one that holds it, which is returned.
DType ElementConverter::add_decoder(DType from) {
  visit_uncommon(from,
                 [&]<class From>() { add(&convert_loop<From, std::conditional_t<kIsNarrowInteger<From>, int8_t, float>>); });
  return is_narrow_integer(from) ? DType::kI8 : DType::kF32;
}

void ElementConverter::add_common(DType from, DType to) {
  if (from == to) return;
  visit_arithmetic_or_bool(
      from, [&]<class From>() { visit_arithmetic_or_bool(to, [&]<class To>() { add(&convert_loop<From, To>); }); });
}

// From a common type to one of the others.
void ElementConverter::add_encoder(DType from, DType to) {
  const bool whole = is_narrow_integer(to);
  const DType hub = whole ? (is_float(from) ? DType::kI32 : DType::kI8) : from == DType::kF32 ? DType::kF32 : DType::kF64;
  if (whole)
    add_common(from, hub);
  else if (from != hub)
    visit_arithmetic_or_bool(from, [&]<class From>() { add(&widen_loop<From>); });
  visit_uncommon(to, [&]<class To>() {
    if constexpr (kIsNarrowInteger<To>)
      add(hub == DType::kI32 ? &convert_loop<int32_t, To> : &convert_loop<int8_t, To>);
    else
      add(hub == DType::kF32 ? &convert_loop<float, To> : &convert_loop<double, To>);
  });
}

ElementConverter::ElementConverter(DType from, DType to, NarrowRules rules)
    : from_size_(size_of(from)), to_size_(size_of(to)), rules_(rules) {
  if (from == to) return;
  const DType common = is_common(from) ? from : add_decoder(from);
  is_common(to) ? add_common(common, to) : add_encoder(common, to);
}

void ElementConverter::operator()(const std::byte* in, std::byte* out, int64_t n) const {
  if (count_ == 0) {
    if (n > 0) std::memcpy(out, in, static_cast<size_t>(n) * to_size_);
    return;
  }
  if (count_ == 1) return loops_[0](in, out, n, rules_);
  alignas(64) std::byte buffers[2][kBlock * sizeof(double)];
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t count = std::min(kBlock, n - at);
    const std::byte* from = in + static_cast<size_t>(at) * from_size_;
    for (int s = 0; s < count_; ++s) {
      std::byte* to = s + 1 == count_ ? out + static_cast<size_t>(at) * to_size_ : buffers[s];
      loops_[static_cast<size_t>(s)](from, to, count, rules_);
      from = to;
    }
  }
}

}  // namespace tandem::cpu
