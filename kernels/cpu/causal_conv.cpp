#include "kernels/api/causal_conv.h"

#include <cmath>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// One channel of one sequence; `past` may be null.
template <class T>
struct Sequence {
  int64_t length, taps;
  const T *x, *past, *w;

  T value(int64_t i) const { return i >= taps - 1 ? x[i - taps + 1] : past ? past[i] : T(0); }

  // Tap by tap; the first outputs still look into the past.
  void convolve(T bias, bool silu, T* y) const {
    const int64_t early = std::min(length, taps - 1);
    std::fill_n(y, length, bias);
    for (int64_t t = 0; t < early; ++t)
      for (int64_t k = 0; k < taps; ++k) y[t] += w[k] * value(t + k);
    for (int64_t k = 0; k < taps; ++k)
      for (int64_t t = early; t < length; ++t) y[t] += w[k] * x[t + k - taps + 1];
    for (int64_t t = 0; silu && t < length; ++t) y[t] = y[t] / (1 + std::exp(-y[t]));
  }
};

}  // namespace

void causal_conv(const KernelContext& context, const CausalConvViews& views, bool silu) {
  const int64_t channels = views.x.shape[1], length = views.x.shape[2], taps = views.w.shape[2], state = taps - 1;
  visit_float(views.x.dtype, [&]<class T>() {
    const T *x = views.x.as<T>().data(), *w = views.w.as<T>().data();
    const T *bias = views.bias ? views.bias.as<T>().data() : nullptr, *past = views.past ? views.past.as<T>().data() : nullptr;
    T *y = views.y.as<T>().data(), *present = views.present ? views.present.as<T>().data() : nullptr;
    parallel_chunks(context, views.x.shape[0] * channels, grain_of(length * taps), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = i % channels;
        const Sequence<T> sequence{length, taps, x + i * length, past ? past + i * state : nullptr, w + c * taps};
        sequence.convolve(bias ? bias[c] : T(0), silu, y + i * length);
        for (int64_t s = 0; present && s < state; ++s) present[i * state + s] = sequence.value(length + s);
      }
    });
  });
}

}  // namespace tandem::cpu
