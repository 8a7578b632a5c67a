// Winograd's short convolutions of a line: M outputs of a kernel of 3 from N = M + 2 inputs by N products (Winograd, 1980; Lavin and Gray,
// "Fast Algorithms for Convolutional Neural Networks", 2016). In two dimensions, lines of lines: N * N products in place of 9 * M * M.
//
// The inputs and the kernel are taken as polynomials, multiplied at N - 1 numbers and infinity, and interpolated: y = A^T ((G w) * (B^T d)). The
// numbers decide how much is rounded. 0, 5/8, -5/8, 3/2, -3/2 lose less than half of the usual 0, 1, -1, 2, -2 (docs/design/winograd.md), and all
// their products are exact in f32.
#pragma once

namespace tandem::cpu {

template <int M>
struct WinogradLine;

template <>
struct WinogradLine<2> {
  static constexpr double kPoints[] = {0, 1, -1};

  // B^T d.
  template <class V>
  static void to_points(const V (&d)[4], V (&t)[4]) {
    const V minus = V::set(-1);
    t[0] = fma(minus, d[0], d[2]);
    t[1] = d[1] + d[2];
    t[2] = fma(minus, d[1], d[2]);
    t[3] = fma(minus, d[1], d[3]);
  }
  // A^T t.
  template <class V>
  static void from_points(const V (&t)[4], V (&y)[2]) {
    y[0] = t[0] + (t[1] + t[2]);
    y[1] = fma(V::set(-1), t[2], t[1]) + t[3];
  }
};

template <>
struct WinogradLine<4> {
  static constexpr double kPoints[] = {0, 0.625, -0.625, 1.5, -1.5};
  static constexpr float kA = 0.625f, kB = 1.5f, kAA = kA * kA, kBB = kB * kB;

  template <class V>
  static void to_points(const V (&d)[6], V (&t)[6]) {
    const V both = V::set(kAA * kBB), sum = V::set(-kAA - kBB);
    t[0] = fma(both, d[0], fma(sum, d[2], d[4]));
    const V even_a = fma(V::set(-kBB), d[2], d[4]), odd_a = fma(V::set(-kBB), d[1], d[3]);
    t[1] = fma(V::set(kA), odd_a, even_a);
    t[2] = fma(V::set(-kA), odd_a, even_a);
    const V even_b = fma(V::set(-kAA), d[2], d[4]), odd_b = fma(V::set(-kAA), d[1], d[3]);
    t[3] = fma(V::set(kB), odd_b, even_b);
    t[4] = fma(V::set(-kB), odd_b, even_b);
    t[5] = fma(both, d[1], fma(sum, d[3], d[5]));
  }
  template <class V>
  static void from_points(const V (&t)[6], V (&y)[4]) {
    const V minus = V::set(-1);
    const V even_a = t[1] + t[2], odd_a = fma(minus, t[2], t[1]);
    const V even_b = t[3] + t[4], odd_b = fma(minus, t[4], t[3]);
    y[0] = t[0] + (even_a + even_b);
    y[1] = fma(V::set(kA), odd_a, V::set(kB) * odd_b);
    y[2] = fma(V::set(kAA), even_a, V::set(kBB) * even_b);
    y[3] = fma(V::set(kAA * kA), odd_a, fma(V::set(kBB * kB), odd_b, t[5]));
  }
};

}  // namespace tandem::cpu
