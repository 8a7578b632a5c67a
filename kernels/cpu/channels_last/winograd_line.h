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

// G. Row i: (1, p, p^2) / the product of p - q over all other points q; at infinity (0, 0, 1).
template <int M>
struct WinogradKernelMatrix {
  static constexpr int N = M + 2;
  double row[N][3];

  constexpr WinogradKernelMatrix() : row{} {
    for (int i = 0; i < N - 1; ++i) {
      const double p = WinogradLine<M>::kPoints[i];
      double scale = 1;
      for (int j = 0; j < N - 1; ++j)
        if (j != i) scale *= p - WinogradLine<M>::kPoints[j];
      row[i][0] = 1 / scale, row[i][1] = p / scale, row[i][2] = p * p / scale;
    }
    row[N - 1][2] = 1;
  }

  // G w, in f32.
  template <class V>
  static void to_points(const V (&w)[3], V (&t)[N]) {
    static constexpr WinogradKernelMatrix g;
    for (int i = 0; i < N; ++i) {
      const V low = fma(V::set(static_cast<float>(g.row[i][1])), w[1], V::set(static_cast<float>(g.row[i][0])) * w[0]);
      t[i] = fma(V::set(static_cast<float>(g.row[i][2])), w[2], low);
    }
  }
  // G^T t, in f32.
  template <class V>
  static void from_points(const V (&t)[N], V (&w)[3]) {
    static constexpr WinogradKernelMatrix g;
    for (int j = 0; j < 3; ++j) {
      w[j] = V::set(static_cast<float>(g.row[0][j])) * t[0];
      for (int i = 1; i < N; ++i) w[j] = fma(V::set(static_cast<float>(g.row[i][j])), t[i], w[j]);
    }
  }
};

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
  // A y.
  template <class V>
  static void spread(const V (&y)[2], V (&t)[4]) {
    t[0] = y[0];
    t[1] = y[0] + y[1];
    t[2] = fma(V::set(-1), y[1], y[0]);
    t[3] = y[1];
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
  template <class V>
  static void spread(const V (&y)[4], V (&t)[6]) {
    t[0] = y[0];
    const V even_a = fma(V::set(kAA), y[2], y[0]), odd_a = fma(V::set(kAA), y[3], y[1]);
    t[1] = fma(V::set(kA), odd_a, even_a);
    t[2] = fma(V::set(-kA), odd_a, even_a);
    const V even_b = fma(V::set(kBB), y[2], y[0]), odd_b = fma(V::set(kBB), y[3], y[1]);
    t[3] = fma(V::set(kB), odd_b, even_b);
    t[4] = fma(V::set(-kB), odd_b, even_b);
    t[5] = y[3];
  }
};

}  // namespace tandem::cpu
