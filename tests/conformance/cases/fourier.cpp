// Transforms against sums of cosines and sines.
#include <cmath>
#include <complex>
#include <numbers>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Complex = std::complex<double>;

// X[k] = sum of x[j] exp(sign 2 pi i j k / n)
std::vector<Complex> transform(const std::vector<Complex>& x, double sign) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<Complex> y;
  for (int64_t k = 0; k < n; ++k) {
    Complex sum = 0;
    for (int64_t j = 0; j < n; ++j)
      sum += x[static_cast<size_t>(j)] *
             std::polar(1.0, sign * 2 * std::numbers::pi * static_cast<double>(j * k % n) / static_cast<double>(n));
    y.push_back(sum);
  }
  return y;
}

// Of `axis` of x [..., parts]; `length` 0: that of the axis.
Reference dft(int axis, int64_t given, bool inverse, bool onesided) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& x = in[0].shape();
    const int last = x.rank() - 1;
    const int64_t parts = x[last], inner = x.product(axis + 1, last), size = x[axis];
    const int64_t n = given != 0 ? given : inverse && onesided ? 2 * (size - 1) : size;
    Shape y = x;
    y.set(axis, onesided && !inverse ? n / 2 + 1 : n);
    y.set(last, inverse && onesided ? 1 : 2);
    const std::vector<double> from = numbers(in[0]);
    std::vector<double> to(static_cast<size_t>(y.elements()));
    for (int64_t line = 0; line < x.product(0, axis) * inner; ++line) {
      std::vector<Complex> values(static_cast<size_t>(n));
      for (int64_t k = 0; k < std::min(n, size); ++k) {
        const auto at = static_cast<size_t>(((line / inner * size + k) * inner + line % inner) * parts);
        values[static_cast<size_t>(k)] = {from[at], parts == 2 ? from[at + 1] : 0};
      }
      if (inverse && onesided) {
        values[0] = values[0].real();
        if (n % 2 == 0) values[static_cast<size_t>(n / 2)] = values[static_cast<size_t>(n / 2)].real();
        for (int64_t k = n / 2 + 1; k < n; ++k) values[static_cast<size_t>(k)] = std::conj(values[static_cast<size_t>(n - k)]);
      }
      const std::vector<Complex> result = transform(values, inverse ? 1 : -1);
      for (int64_t k = 0; k < y[axis]; ++k) {
        const Complex value = result[static_cast<size_t>(k)] / (inverse ? static_cast<double>(n) : 1.0);
        const auto at = static_cast<size_t>(((line / inner * y[axis] + k) * inner + line % inner) * y[last]);
        to[at] = value.real();
        if (y[last] == 2) to[at + 1] = value.imag();
      }
    }
    return std::vector{f64(y, to)};
  };
}

void add_dft(Cases& cases) {
  for (int64_t n : {1, 2, 7, 16, 60, 97})
    for (int64_t parts : {1, 2})
      for (int64_t inverse : {0, 1})
        cases.push_back({.op = "DFT",
                         .what = std::to_string(n),
                         .inputs = {uniform({3, n, parts})},
                         .attributes = {{"inverse", inverse}},
                         .reference = dft(1, 0, inverse != 0, false),
                         .atol = 1e-5});
  for (int64_t n : {8, 9}) {
    cases.push_back({.op = "DFT",
                     .what = "of a real signal",
                     .inputs = {uniform({2, n, 3, 1}), i64(Shape{}, {n}), i64(Shape{}, {1})},
                     .attributes = {{"onesided", int64_t{1}}},
                     .constants = {1, 2},
                     .reference = dft(1, n, false, true),
                     .atol = 1e-5});
    cases.push_back({.op = "DFT",
                     .what = "to a real signal",
                     .inputs = {uniform({2, n / 2 + 1, 3, 2}), i64(Shape{}, {n}), i64(Shape{}, {-3})},
                     .attributes = {{"onesided", int64_t{1}}, {"inverse", int64_t{1}}},
                     .constants = {1, 2},
                     .reference = dft(1, n, true, true),
                     .atol = 1e-5});
  }
  for (int64_t n : {4, 12})
    cases.push_back({.op = "DFT",
                     .what = "cut or padded",
                     .inputs = {uniform({2, 7, 3, 2}), i64(Shape{}, {n})},
                     .attributes = {{"axis", int64_t{1}}},
                     .opset = 17,
                     .constants = {1},
                     .reference = dft(1, n, false, false),
                     .atol = 1e-5});
  cases.push_back({.op = "DFT",
                   .what = "large",
                   .inputs = {uniform({9, 500, 2}, -1, 1)},
                   .reference = dft(1, 0, false, false),
                   .atol = 1e-3});
}

// Frames of the window, or of ones, transformed each.
Reference stft(int64_t frame, int64_t step, bool onesided) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& x = in[0].shape();
    const int64_t parts = x.rank() == 3 ? x[2] : 1, frames = (x[1] - frame) / step + 1, bins = onesided ? frame / 2 + 1 : frame;
    const std::vector<double> from = numbers(in[0]);
    const std::vector<double> window =
        in.size() > 2 && in[2] ? numbers(in[2]) : std::vector<double>(static_cast<size_t>(frame), 1.0);
    std::vector<double> to;
    for (int64_t f = 0; f < x[0] * frames; ++f) {
      std::vector<Complex> values;
      for (int64_t k = 0; k < frame; ++k) {
        const auto at = static_cast<size_t>((f / frames * x[1] + f % frames * step + k) * parts);
        values.push_back(Complex(from[at], parts == 2 ? from[at + 1] : 0) * window[static_cast<size_t>(k)]);
      }
      const std::vector<Complex> result = transform(values, -1);
      for (int64_t k = 0; k < bins; ++k)
        to.insert(to.end(), {result[static_cast<size_t>(k)].real(), result[static_cast<size_t>(k)].imag()});
    }
    return std::vector{f64({x[0], frames, bins, 2}, to)};
  };
}

void add_stft(Cases& cases) {
  const Tensor signal = uniform({2, 50, 1}), window = uniform({12}, 0, 1, 2);
  const auto add = [&](const std::string& what, std::vector<Tensor> inputs, bool onesided, int64_t frame, int64_t step) {
    cases.push_back({.op = "STFT",
                     .what = what,
                     .inputs = std::move(inputs),
                     .attributes = {{"onesided", int64_t{onesided}}},
                     .constants = {1, 3},
                     .reference = stft(frame, step, onesided),
                     .atol = 1e-5});
  };
  add("window", {signal, i64(Shape{}, {5}), window}, true, 12, 5);
  add("window and length", {signal, i64(Shape{}, {7}), window, i64(Shape{}, {12})}, false, 12, 7);
  add("length", {signal, i64(Shape{}, {8}), Tensor(), i64(Shape{}, {16})}, true, 16, 8);
  add("complex", {uniform({2, 50, 2}), i64(Shape{}, {8}), Tensor(), i64(Shape{}, {9})}, false, 9, 8);
  add("no last axis", {uniform({2, 50}), i64(Shape{}, {5}), window}, true, 12, 5);  // as PyTorch's exporter writes it
  add("whole signal", {signal, i64(Shape{}, {1})}, true, 50, 1);
}

void add_mel(Cases& cases) {
  // Triangles between the edges, as the definition of the op draws them.
  const auto reference = [](const std::vector<Tensor>& in) {
    const double count = numbers(in[0])[0], length = numbers(in[1])[0], rate = numbers(in[2])[0];
    const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
    const double low = mel(numbers(in[3])[0]), high = mel(numbers(in[4])[0]);
    std::vector<double> edges;
    for (double i = 0; i < count + 2; ++i)
      edges.push_back(std::floor((length + 1) * 700 * (std::pow(10, (low + i * (high - low) / (count + 2)) / 2595) - 1) / rate));
    std::vector<double> y;
    for (double bin = 0; bin < std::floor(length / 2) + 1; ++bin)
      for (size_t band = 0; band < static_cast<size_t>(count); ++band) {
        const double left = edges[band], center = edges[band + 1], right = edges[band + 2];
        double value = 0;
        if (bin == center) value = 1;
        if (bin > left && bin < center) value = (bin - left) / (center - left);
        if (bin > center && bin < right) value = (right - bin) / (right - center);
        y.push_back(value);
      }
    return std::vector{f64({static_cast<int64_t>(length / 2) + 1, static_cast<int64_t>(count)}, y)};
  };
  for (const auto& [bands, length] : {std::pair<int64_t, int64_t>{8, 16}, {20, 400}})
    cases.push_back(
        {.op = "MelWeightMatrix",
         .what = std::to_string(bands),
         .inputs = {i64(Shape{}, {bands}), i64(Shape{}, {length}), i64(Shape{}, {8192}), f32({}, {10.0f}), f32({}, {4000.0f})},
         .constants = {0, 1},
         .reference = reference});
}

}  // namespace

void add_fourier_cases(Cases& cases) {
  add_dft(cases);
  add_stft(cases);
  add_mel(cases);
}

}  // namespace tandem::conformance
