// Each line along the axis is gathered into doubles, transformed in place, and scattered; threads share the lines.
#include "kernels/api/fourier.h"

#include <omp.h>

#include <bit>
#include <cmath>
#include <numbers>

namespace tandem::cpu {
namespace {

using Complex = std::complex<double>;

constexpr int64_t kWorkPerThread = 16 * 1024;

// exp(-2 pi i k / n)
Complex turn(int64_t k, int64_t n) {
  const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  return {std::cos(angle), std::sin(angle)};
}

// The parts of product and sum written out: std::complex's operator* looks for infinities.
Complex times(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

// Numbers of a line, `stride` elements apart; `parts` is 1 (real) or 2.
template <class T>
Complex load(const T* x, int64_t parts) {
  return {static_cast<double>(x[0]), parts == 2 ? static_cast<double>(x[1]) : 0};
}
template <class T>
void store(Complex value, int64_t parts, T* y) {
  y[0] = static_cast<T>(value.real());
  if (parts == 2) y[1] = static_cast<T>(value.imag());
}

void check_workspace(const KernelContext& context, const FourierPlan& plan) {
  const size_t needed = static_cast<size_t>((plan.length() + plan.scratch()) * context.threads) * sizeof(Complex);
  ensure(context.workspace.size() >= needed, "workspace of a Fourier transform is too small", context.workspace.size(), needed);
}

// An inverse transform is a transform with real and imaginary parts exchanged before and after.
Complex exchanged(Complex x) { return {x.imag(), x.real()}; }

}  // namespace

FourierPlan::FourierPlan(int64_t length) : length_(length), padded_(1) {
  const bool whole = length <= 1 || std::has_single_bit(static_cast<uint64_t>(length));
  const int64_t least = whole ? std::max<int64_t>(length, 1) : checked_mul(2, length, "length of a transform");
  padded_ = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(least)));
  for (int64_t k = 0; k < padded_ / 2; ++k) turns_.push_back(turn(k, padded_));
  if (whole) return;
  filter_.assign(static_cast<size_t>(padded_), 0);
  for (int64_t k = 0; k < length; ++k) {
    // k^2 modulo 2 * length keeps the angle small.
    const auto square = static_cast<int64_t>(static_cast<unsigned __int128>(k) * static_cast<unsigned __int128>(k) %
                                             static_cast<unsigned __int128>(2 * length));
    chirp_.push_back(turn(square, 2 * length));
    filter_[static_cast<size_t>(k)] = std::conj(chirp_.back());
    if (k > 0) filter_[static_cast<size_t>(padded_ - k)] = std::conj(chirp_.back());
  }
  radix2(filter_.data());
}

void FourierPlan::radix2(Complex* x) const {
  const int64_t n = padded_;
  for (int64_t i = 1, j = 0; i < n; ++i) {
    int64_t bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(x[i], x[j]);
  }
  for (int64_t half = 1; half < n; half *= 2) {
    const int64_t step = n / (2 * half);
    for (int64_t first = 0; first < n; first += 2 * half)
      for (int64_t k = 0; k < half; ++k) {
        const Complex even = x[first + k], odd = times(x[first + k + half], turns_[static_cast<size_t>(k * step)]);
        x[first + k] = even + odd;
        x[first + k + half] = even - odd;
      }
  }
}

void FourierPlan::transform(Complex* x, Complex* scratch) const {
  if (chirp_.empty()) return radix2(x);
  // j k = (j^2 + k^2 - (k - j)^2) / 2 makes it a convolution with the chirp.
  for (int64_t k = 0; k < length_; ++k) scratch[k] = times(x[k], chirp_[static_cast<size_t>(k)]);
  std::fill(scratch + length_, scratch + padded_, Complex{});
  radix2(scratch);
  for (int64_t k = 0; k < padded_; ++k) scratch[k] = exchanged(times(scratch[k], filter_[static_cast<size_t>(k)]));
  radix2(scratch);
  const double scale = 1 / static_cast<double>(padded_);
  for (int64_t k = 0; k < length_; ++k) x[k] = times(exchanged(scratch[k]) * scale, chirp_[static_cast<size_t>(k)]);
}

size_t fourier_workspace(int64_t length, int threads) {
  const int64_t twice = checked_mul(2, std::max<int64_t>(length, 1), "length of a transform");
  return static_cast<size_t>((length + static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(twice)))) * threads) * sizeof(Complex);
}

void dft(const KernelContext& context, const FourierPlan& plan, ConstTensorView x, const DftOptions& options, TensorView y) {
  const int last = x.shape.rank() - 1;
  const int64_t n = plan.length(), in_parts = x.shape[last], out_parts = y.shape[last];
  const int64_t outer = x.shape.product(0, options.axis), inner = x.shape.product(options.axis + 1, last);
  const int64_t in_length = x.shape[options.axis], out_length = y.shape[options.axis];
  const bool mirrored = options.inverse && options.onesided;
  const int64_t taken = std::min(in_length, mirrored ? n / 2 + 1 : n);
  check_workspace(context, plan);
  const double scale = options.inverse && n > 0 ? 1 / static_cast<double>(n) : 1;
  visit_float(x.dtype, [&]<class T>() {
    const T* from = x.as<T>().data();
    T* to = y.as<T>().data();
#pragma omp parallel for num_threads(context.threads) if (outer * inner * n >= kWorkPerThread)
    for (int64_t line = 0; line < outer * inner; ++line) {
      const int64_t o = line / inner, i = line % inner;
      Complex* values = reinterpret_cast<Complex*>(context.workspace.data()) + omp_get_thread_num() * (n + plan.scratch());
      std::fill(values, values + n, Complex{});
      for (int64_t k = 0; k < taken; ++k) {
        const Complex value = load(from + ((o * in_length + k) * inner + i) * in_parts, in_parts);
        values[k] = value;
        if (mirrored && k > 0 && k < n - k) values[n - k] = std::conj(value);
      }
      // What stands for itself in a real signal's spectrum is real.
      if (mirrored && n > 0) values[0].imag(0);
      if (mirrored && n % 2 == 0 && n > 0) values[n / 2].imag(0);
      if (options.inverse)
        for (int64_t k = 0; k < n; ++k) values[k] = exchanged(values[k]) * scale;
      plan.transform(values, values + n);
      for (int64_t k = 0; k < out_length; ++k)
        store(options.inverse ? exchanged(values[k]) : values[k], out_parts, to + ((o * out_length + k) * inner + i) * out_parts);
    }
  });
}

void stft(const KernelContext& context, const FourierPlan& plan, ConstTensorView x, int64_t step, ConstTensorView window,
          TensorView y) {
  const int64_t n = plan.length(), batch = x.shape[0], length = x.shape[1], parts = x.shape.rank() == 3 ? x.shape[2] : 1, frames = y.shape[1],
                bins = y.shape[2];
  check_workspace(context, plan);
  require(step > 0 && (frames == 0 || (frames - 1) * step + n <= length),
          "[STFT] the frames leave the signal (frames, step, length)", frames, step, length);
  visit_float(x.dtype, [&]<class T>() {
    const T *from = x.as<T>().data(), *weights = window ? window.as<T>().data() : nullptr;
    T* to = y.as<T>().data();
#pragma omp parallel for num_threads(context.threads) if (batch * frames * n >= kWorkPerThread)
    for (int64_t f = 0; f < batch * frames; ++f) {
      Complex* values = reinterpret_cast<Complex*>(context.workspace.data()) + omp_get_thread_num() * (n + plan.scratch());
      const T* frame = from + (f / frames * length + f % frames * step) * parts;
      for (int64_t k = 0; k < n; ++k)
        values[k] = load(frame + k * parts, parts) * (weights ? static_cast<double>(weights[k]) : 1.0);
      plan.transform(values, values + n);
      for (int64_t k = 0; k < bins; ++k) store(values[k], 2, to + (f * bins + k) * 2);
    }
  });
}

void mel_weights(const MelBands& bands, TensorView y) {
  const int64_t bins = bands.dft_length / 2 + 1;
  const auto to_mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const double low = to_mel(bands.low_hertz), step = (to_mel(bands.high_hertz) - low) / static_cast<double>(bands.bands + 2);
  // The bin of the i-th edge.
  const auto edge = [&](int64_t i) {
    const double hertz = 700 * (std::pow(10, (low + static_cast<double>(i) * step) / 2595) - 1);
    return static_cast<int64_t>(
        std::floor(static_cast<double>(bands.dft_length + 1) * hertz / static_cast<double>(bands.sample_rate)));
  };
  visit_number(y.dtype, [&]<class T>() {
    T* to = y.as<T>().data();
    std::fill(to, to + y.elements(), T{0});
    const auto set = [&](int64_t bin, int64_t band, double value) {
      if (bin >= 0 && bin < bins) to[bin * bands.bands + band] = static_cast<T>(value);
    };
    for (int64_t band = 0; band < bands.bands; ++band) {
      const int64_t left = edge(band), center = edge(band + 1), right = edge(band + 2);
      const auto rise = static_cast<double>(center - left), fall = static_cast<double>(right - center);
      if (left == center) set(center, band, 1);
      for (int64_t bin = std::max<int64_t>(left, 0); left < center && bin <= std::min(center, bins - 1); ++bin)
        set(bin, band, static_cast<double>(bin - left) / rise);
      for (int64_t bin = std::max<int64_t>(center, 0); bin < std::min(right, bins); ++bin)
        set(bin, band, static_cast<double>(right - bin) / fall);
    }
  });
}

}  // namespace tandem::cpu
