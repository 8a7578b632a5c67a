// Compiled once per instruction set by Highway's foreach_target.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/recurrent_cells.cpp"
#include <hwy/foreach_target.h>
// The order matters: foreach_target.h includes this file again.
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/simd/functions_f32-inl.h"
#include "kernels/cpu/simd/part-inl.h"
#include "kernels/cpu/simd/recurrent_cells.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {

// One vector of each block: `count` lanes from element i on.
struct Lanes {
  int64_t n, i, count;
  HWY_INLINE V load(const float* blocks, int64_t block = 0) const { return load_lanes(d, blocks + block * n + i, count); }
  HWY_INLINE void store(V v, float* blocks, int64_t block = 0) const { store_lanes(d, v, blocks + block * n + i, count); }
};

template <class Body>
HWY_INLINE void each_vector(int64_t n, Body body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < n; i += lanes) body(Lanes{n, i, std::min(lanes, n - i)});
}

void LstmCell(const LstmStep& of, int64_t n) {
  each_vector(n, [&](const Lanes& at) HWY_ATTR {
    const auto sum = [&](int64_t gate) HWY_ATTR { return hn::Add(at.load(of.gates, gate), at.load(of.projection, gate)); };
    const V input = sigmoid_of(sum(0)), output = sigmoid_of(sum(1)), forget = sigmoid_of(sum(2)), cell = tanh_of(sum(3));
    const V c = hn::MulAdd(forget, at.load(of.c), hn::Mul(input, cell)), squashed = tanh_of(c);
    at.store(input, of.gates, 0);
    at.store(output, of.gates, 1);
    at.store(forget, of.gates, 2);
    at.store(cell, of.gates, 3);
    at.store(c, of.c_next);
    at.store(squashed, of.squashed);
    at.store(hn::Mul(output, squashed), of.h_next);
  });
}

void GruCell(const GruStep& of, int64_t n) {
  each_vector(n, [&](const Lanes& at) HWY_ATTR {
    const auto sum = [&](int64_t gate) HWY_ATTR { return hn::Add(at.load(of.gates, gate), at.load(of.projection, gate)); };
    const V update = sigmoid_of(sum(0)), reset = sigmoid_of(sum(1));
    const V kept = hn::Add(at.load(of.gates, 2), at.load(of.bias));
    const V candidate = tanh_of(hn::MulAdd(reset, kept, at.load(of.projection, 2)));
    at.store(update, of.gates, 0);
    at.store(reset, of.gates, 1);
    at.store(candidate, of.gates, 2);
    at.store(kept, of.candidate);
    at.store(hn::MulAdd(update, at.load(of.h), hn::Mul(hn::Sub(constant(1.0f), update), candidate)), of.h_next);
  });
}

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(LstmCell);
HWY_EXPORT(GruCell);

void lstm_step(const LstmStep& of, int64_t n) {
  choose_targets();
  HWY_DYNAMIC_DISPATCH(LstmCell)(of, n);
}

void gru_step(const GruStep& of, int64_t n) {
  choose_targets();
  HWY_DYNAMIC_DISPATCH(GruCell)(of, n);
}

}  // namespace tandem::cpu::simd
#endif  // HWY_ONCE
