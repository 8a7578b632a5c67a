// A strip of pixels at a time, channel by channel: the window's squares are summed anew for each channel, which for its usual
// five is as fast as a running sum and does not drift.
#include "kernels/api/lrn.h"

#include <array>
#include <cmath>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kStrip = 128;

template <class T>
using Strip = std::array<T, kStrip>;

struct Channels {
  int64_t batch, count, inner, before, after;
  Channels(const Shape& x, int64_t size)
      : batch(x[0]), count(x[1]), inner(x.product(2, x.rank())), before((size - 1) / 2), after(size - 1 - (size - 1) / 2) {}
  int64_t strips() const { return ceil_div(inner, kStrip); }
  int64_t first(int64_t c, int64_t reach) const { return std::max<int64_t>(0, c - reach); }
  int64_t last(int64_t c, int64_t reach) const { return std::min(count, c + reach + 1); }
};

// Calls body(offset of channel 0, pixels) for every strip of every batch item.
template <class Body>
void for_each_strip(const KernelContext& context, const Channels& c, Body&& body) {
  parallel_chunks(context, c.batch * c.strips(), grain_of(c.count * kStrip), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t pixel = i % c.strips() * kStrip;
      body(i / c.strips() * c.count * c.inner + pixel, std::min(kStrip, c.inner - pixel));
    }
  });
}

// s of channel `at`.
template <class T>
void fill_sums(const Channels& channels, const LrnOptions& options, const T* x, int64_t at, int64_t n, Strip<T>& s) {
  s.fill(T(0));
  for (int64_t c = channels.first(at, channels.before); c < channels.last(at, channels.after); ++c)
    for (int64_t i = 0; i < n; ++i) s[static_cast<size_t>(i)] += x[c * channels.inner + i] * x[c * channels.inner + i];
  const T factor = static_cast<T>(options.alpha / static_cast<double>(options.size)), bias = static_cast<T>(options.bias);
  for (T& value : s) value = bias + factor * value;
}

// s^-beta; the usual exponent by square roots.
template <class T>
T inverse_power(T s, T beta) {
  return beta == T(0.75) ? 1 / (std::sqrt(s) * std::sqrt(std::sqrt(s))) : std::pow(s, -beta);
}

}  // namespace

void lrn(const KernelContext& context, ConstTensorView x, const LrnOptions& options, TensorView y) {
  const Channels channels(x.shape, options.size);
  visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), beta = static_cast<T>(options.beta);
    T* out = y.as<T>().data();
    for_each_strip(context, channels, [&](int64_t start, int64_t n) {
      Strip<T> s;
      for (int64_t c = 0; c < channels.count; ++c) {
        fill_sums(channels, options, in + start, c, n, s);
        const int64_t at = start + c * channels.inner;
        for (int64_t i = 0; i < n; ++i) out[at + i] = in[at + i] * inverse_power(s[static_cast<size_t>(i)], beta);
      }
    });
  });
}

// dx = dy * s^-beta - 2 * alpha * beta / size * x * sum over the channels whose window holds this one of dy * x * s^(-beta - 1).
void lrn_grad(const KernelContext& context, ConstTensorView dy, ConstTensorView x, const LrnOptions& options, TensorView dx) {
  const Channels channels(x.shape, options.size);
  visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *grad = dy.as<T>().data(), beta = static_cast<T>(options.beta);
    const T factor = static_cast<T>(2 * options.alpha * options.beta / static_cast<double>(options.size));
    T* out = dx.as<T>().data();
    for_each_strip(context, channels, [&](int64_t start, int64_t n) {
      Strip<T> s;
      for (int64_t c = 0; c < channels.count; ++c) std::fill_n(out + start + c * channels.inner, n, T(0));
      for (int64_t c = 0; c < channels.count; ++c) {
        fill_sums(channels, options, in + start, c, n, s);
        const int64_t own = start + c * channels.inner;
        for (int64_t i = 0; i < n; ++i) {
          T& sum = s[static_cast<size_t>(i)];
          const T power = inverse_power(sum, beta);
          out[own + i] += grad[own + i] * power;
          sum = factor * grad[own + i] * in[own + i] * power / sum;
        }
        for (int64_t other = channels.first(c, channels.before); other < channels.last(c, channels.after); ++other) {
          const int64_t at = start + other * channels.inner;
          for (int64_t i = 0; i < n; ++i) out[at + i] -= s[static_cast<size_t>(i)] * in[at + i];
        }
      }
    });
  });
}

}  // namespace tandem::cpu
