// Compiled once per instruction set by Highway's foreach_target. Both updates are limited by memory bandwidth (28 bytes an
// element for Adam in f32), so all arithmetic happens in one pass; threads share chunks of a fixed size.
#include "kernels/api/optimizer.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/optimizer.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/simd/part-inl.h"
#include "kernels/cpu/simd/row.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using simd::HWY_NAMESPACE::load_lanes;
using simd::HWY_NAMESPACE::store_lanes;

constexpr int64_t kChunk = 16 * 1024;  // elements: a multiple of every vector length

double number_or_one(ConstTensorView scalar) { return scalar ? static_cast<double>(scalar.as<float>()[0]) : 1; }

// Calls body(i, count) for each vector of [0, n), chunks shared by the threads.
template <class T, class Body>
void for_each_vector(const KernelContext& context, int64_t n, Body body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  const int64_t chunks = ceil_div(n, kChunk);
#pragma omp parallel for num_threads(context.threads) if (chunks > 1)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t last = std::min(n, (chunk + 1) * kChunk);
    for (int64_t i = chunk * kChunk; i < last; i += lanes) body(i, std::min(lanes, last - i));
  }
}

template <class T>
void sgd_of(const KernelContext& context, const SgdViews& views, const SgdOptions& options) {
  const hn::ScalableTag<T> d;
  const T* p = views.parameter.as<T>().data();
  const T* g = views.gradient.as<T>().data();
  const T* m = views.momentum ? views.momentum.as<T>().data() : nullptr;
  T* new_p = views.new_parameter.as<T>().data();
  T* new_m = views.new_momentum ? views.new_momentum.as<T>().data() : nullptr;
  const T rate = static_cast<T>(number_or_one(views.lr)), factor = static_cast<T>(number_or_one(views.scale)),
          decay = static_cast<T>(options.weight_decay);
  const T momentum = static_cast<T>(options.momentum);
  for_each_vector<T>(context, views.parameter.elements(), [&](int64_t i, int64_t count) HWY_ATTR {
    const auto parameter = load_lanes(d, p + i, count);
    auto gradient = hn::Mul(load_lanes(d, g + i, count), hn::Set(d, factor));
    gradient = hn::MulAdd(parameter, hn::Set(d, decay), gradient);
    auto step = gradient;
    if (m != nullptr) {
      const auto velocity = hn::MulAdd(load_lanes(d, m + i, count), hn::Set(d, momentum), gradient);
      if (new_m != nullptr) store_lanes(d, velocity, new_m + i, count);
      step = options.nesterov ? hn::MulAdd(velocity, hn::Set(d, momentum), gradient) : velocity;
    }
    store_lanes(d, hn::NegMulAdd(step, hn::Set(d, rate), parameter), new_p + i, count);
  });
}

template <class T>
void adam_of(const KernelContext& context, const AdamViews& views, const AdamOptions& options) {
  const hn::ScalableTag<T> d;
  const T* p = views.parameter.as<T>().data();
  const T* g = views.gradient.as<T>().data();
  const T* m = views.m.as<T>().data();
  const T* v = views.v.as<T>().data();
  T* new_p = views.new_parameter.as<T>().data();
  T* new_m = views.new_m.as<T>().data();
  T* new_v = views.new_v.as<T>().data();
  const double lr = number_or_one(views.lr), t = static_cast<double>(views.step.as<int64_t>()[0]);
  const T step_size = static_cast<T>(lr / (1 - std::pow(options.beta1, t)));
  const T root_correction = static_cast<T>(1 / std::sqrt(1 - std::pow(options.beta2, t)));
  const T epsilon = static_cast<T>(options.epsilon), factor = static_cast<T>(number_or_one(views.scale));
  const T beta1 = static_cast<T>(options.beta1), rest1 = static_cast<T>(1 - options.beta1);
  const T beta2 = static_cast<T>(options.beta2), rest2 = static_cast<T>(1 - options.beta2);
  const T gradient_decay = static_cast<T>(options.decoupled ? 0 : options.weight_decay);
  const T keep = static_cast<T>(options.decoupled ? 1 - lr * options.weight_decay : 1);
  for_each_vector<T>(context, views.parameter.elements(), [&](int64_t i, int64_t count) HWY_ATTR {
    const auto parameter = load_lanes(d, p + i, count);
    auto gradient = hn::Mul(load_lanes(d, g + i, count), hn::Set(d, factor));
    gradient = hn::MulAdd(parameter, hn::Set(d, gradient_decay), gradient);
    const auto first = hn::MulAdd(load_lanes(d, m + i, count), hn::Set(d, beta1), hn::Mul(gradient, hn::Set(d, rest1)));
    const auto second =
        hn::MulAdd(load_lanes(d, v + i, count), hn::Set(d, beta2), hn::Mul(hn::Mul(gradient, gradient), hn::Set(d, rest2)));
    store_lanes(d, first, new_m + i, count);
    store_lanes(d, second, new_v + i, count);
    const auto denominator = hn::MulAdd(hn::Sqrt(second), hn::Set(d, root_correction), hn::Set(d, epsilon));
    const auto update = hn::Div(hn::Mul(first, hn::Set(d, step_size)), denominator);
    store_lanes(d, hn::MulSub(parameter, hn::Set(d, keep), update), new_p + i, count);
  });
}

void sgd_any(const KernelContext& context, const SgdViews& views, const SgdOptions& options) {
  visit_float(views.parameter.dtype, [&]<class T>() { sgd_of<T>(context, views, options); });
}

void adam_any(const KernelContext& context, const AdamViews& views, const AdamOptions& options) {
  visit_float(views.parameter.dtype, [&]<class T>() { adam_of<T>(context, views, options); });
}

}  // namespace tandem::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu {

HWY_EXPORT(sgd_any);
HWY_EXPORT(adam_any);

namespace {

bool is_skipped(ConstTensorView apply) { return apply && !apply.as<bool>()[0]; }

void keep(ConstTensorView old, TensorView out) {
  if (out && out.data != old.data) std::memcpy(out.data, old.data, old.bytes());
}

}  // namespace

void sgd(const KernelContext& context, const SgdViews& views, const SgdOptions& options) {
  if (is_skipped(views.apply)) {
    keep(views.parameter, views.new_parameter);
    return keep(views.momentum, views.new_momentum);
  }
  simd::choose_targets();
  HWY_DYNAMIC_DISPATCH(sgd_any)(context, views, options);
}

void adam(const KernelContext& context, const AdamViews& views, const AdamOptions& options) {
  require(views.step.as<int64_t>()[0] >= 1, "[Adam] step counts from 1", views.step.as<int64_t>()[0]);
  if (is_skipped(views.apply)) {
    keep(views.parameter, views.new_parameter);
    keep(views.m, views.new_m);
    return keep(views.v, views.new_v);
  }
  simd::choose_targets();
  HWY_DYNAMIC_DISPATCH(adam_any)(context, views, options);
}

namespace {
constexpr int64_t kSquaresChunk = 16 * 1024;
}

size_t sum_of_squares_workspace(int64_t elements, int64_t inputs) {
  return static_cast<size_t>(elements / kSquaresChunk + inputs) * sizeof(double);
}

void sum_of_squares(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView out) {
  double* partial = reinterpret_cast<double*>(context.workspace.data());
  double total = 0;
  for (const ConstTensorView& input : inputs) {
    const int64_t n = input.elements(), chunks = ceil_div(n, kSquaresChunk);
    visit_float(input.dtype, [&]<class T>() {
      const T* x = input.as<T>().data();
      const auto& row = simd::row_ops<T>();
#pragma omp parallel for num_threads(context.threads) if (chunks > 1)
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const int64_t first = chunk * kSquaresChunk;
        partial[chunk] = row.squared_deviation(x + first, std::min(kSquaresChunk, n - first), T{0});
      }
    });
    for (int64_t chunk = 0; chunk < chunks; ++chunk) total += partial[chunk];
  }
  out.as<float>()[0] = static_cast<float>(total);
}

}  // namespace tandem::cpu
#endif
