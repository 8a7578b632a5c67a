// Four floats of NEON, for the templates of its tiers: tiles of R rows by W vectors. In an unnamed namespace: only files of these tiers include
// it.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace tandem::cpu {
namespace {

template <int R, int W>
struct NeonVectorOf {
  using Scalar = float;
  struct Part {
    int64_t lanes;
  };
  static constexpr int kLanes = 4, kRows = R, kVectors = W;
  static constexpr int wide_panels(int rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }

  float32x4_t v;

  static Part part(int64_t n) { return {n}; }
  static NeonVectorOf load(const float* p) { return {vld1q_f32(p)}; }
  static NeonVectorOf load(const float* p, Part part) {
    float lanes[kLanes] = {};
    for (int64_t i = 0; i < part.lanes; ++i) lanes[i] = p[i];
    return load(lanes);
  }
  void store(float* p) const { vst1q_f32(p, v); }
  void store(float* p, Part part) const {
    float lanes[kLanes];
    store(lanes);
    for (int64_t i = 0; i < part.lanes; ++i) p[i] = lanes[i];
  }
  static NeonVectorOf set(float x) { return {vdupq_n_f32(x)}; }
  static void transpose(NeonVectorOf (&rows)[4]) {
    const float32x4x2_t low = vtrnq_f32(rows[0].v, rows[1].v), high = vtrnq_f32(rows[2].v, rows[3].v);
    rows[0].v = vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0]));
    rows[1].v = vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1]));
    rows[2].v = vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0]));
    rows[3].v = vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]));
  }
  friend NeonVectorOf operator+(NeonVectorOf a, NeonVectorOf b) { return {vaddq_f32(a.v, b.v)}; }
  friend NeonVectorOf operator-(NeonVectorOf a, NeonVectorOf b) { return {vsubq_f32(a.v, b.v)}; }
  friend NeonVectorOf operator*(NeonVectorOf a, NeonVectorOf b) { return {vmulq_f32(a.v, b.v)}; }
  friend NeonVectorOf fma(NeonVectorOf a, NeonVectorOf b, NeonVectorOf c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
  friend NeonVectorOf relu(NeonVectorOf a) { return {vmaxq_f32(vdupq_n_f32(0), a.v)}; }  // NaN stays
  friend NeonVectorOf clamp(NeonVectorOf low, NeonVectorOf a, NeonVectorOf high) { return {vminq_f32(high.v, vmaxq_f32(low.v, a.v))}; }  // too
  friend NeonVectorOf where_positive(NeonVectorOf gate, NeonVectorOf a) { return {vbslq_f32(vcgtzq_f32(gate.v), a.v, vdupq_n_f32(0))}; }
  // shifted: n + 1.5 * 2^23 for a whole n; both a and the result normal.
  friend NeonVectorOf times_power_of_two(NeonVectorOf a, NeonVectorOf shifted) {
    return {vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a.v), vshlq_n_s32(vreinterpretq_s32_f32(shifted.v), 23)))};
  }
  friend NeonVectorOf reciprocal(NeonVectorOf a) { return {vdivq_f32(vdupq_n_f32(1), a.v)}; }
};

}  // namespace
}  // namespace tandem::cpu
