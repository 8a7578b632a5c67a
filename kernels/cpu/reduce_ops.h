// What the reductions compute, for the engine in reduce.cpp and the cumulative sums.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tandem::cpu::reduction {

// Each op: the neutral element, what an element contributes, how two contributions join, and the last step.
struct Add {
  template <class T>
  static constexpr T neutral() {
    return 0;
  }
  template <class T>
  static T join(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    } else {
      return a + b;
    }
  }
  template <class T>
  static T map(T x, T) {
    return x;
  }
  template <class W>
  static W finish(W total, W, int64_t) {
    return total;
  }
};
template <class T>
T product(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
  } else {
    return a * b;
  }
}
struct Mean : Add {
  template <class W>
  static W finish(W total, W, int64_t n) {
    if constexpr (std::is_integral_v<W>)
      return n ? total / static_cast<W>(n) : W{0};
    else
      return total / static_cast<W>(n);
  }
};
struct Norm1 : Add {
  template <class T>
  static T map(T x, T) {
    return x < T{0} ? static_cast<T>(T{0} - x) : x;
  }
};
struct Squares : Add {
  template <class T>
  static T map(T x, T) {
    return product(x, x);
  }
};
struct Norm2 : Squares {
  template <class W>
  static W finish(W total, W, int64_t) {
    return static_cast<W>(std::sqrt(static_cast<double>(total)));
  }
};
struct LogSum : Add {
  template <class W>
  static W finish(W total, W, int64_t) {
    return static_cast<W>(std::log(static_cast<double>(total)));
  }
};
// The second pass of log-sum-exp; `shift` is the largest element, found by the first.
struct LogSumExp : Add {
  static constexpr bool kShifted = true;
  template <class T>
  static T usable(T shift) {
    return std::isinf(shift) ? T{0} : shift;
  }
  template <class T>
  static T map(T x, T shift) {
    return std::exp(x - usable(shift));
  }
  template <class W>
  static W finish(W total, W shift, int64_t) {
    return std::log(total) + usable(shift);
  }
};
struct Prod {
  template <class T>
  static constexpr T neutral() {
    return 1;
  }
  template <class T>
  static T join(T a, T b) {
    return product(a, b);
  }
  template <class T>
  static T map(T x, T) {
    return x;
  }
  template <class W>
  static W finish(W total, W, int64_t) {
    return total;
  }
};
// `chosen`, unless one of both is NaN: then NaN. Without a branch, so that it vectorises.
template <class T>
T keep_nan(T a, T chosen, T b) {
  if constexpr (std::is_integral_v<T>)
    return chosen;
  else
    return a != a ? a : (b != b ? b : chosen);
}
struct Max {
  template <class T>
  static constexpr T neutral() {
    using L = std::numeric_limits<T>;
    return L::has_infinity ? -L::infinity() : L::lowest();
  }
  template <class T>
  static T join(T a, T b) {
    return keep_nan(a, b > a ? b : a, b);
  }
  template <class T>
  static T map(T x, T) {
    return x;
  }
  template <class W>
  static W finish(W total, W, int64_t) {
    return total;
  }
};
struct Min {
  template <class T>
  static constexpr T neutral() {
    using L = std::numeric_limits<T>;
    return L::has_infinity ? L::infinity() : L::max();
  }
  template <class T>
  static T join(T a, T b) {
    return keep_nan(a, b < a ? b : a, b);
  }
  template <class T>
  static T map(T x, T) {
    return x;
  }
  template <class W>
  static W finish(W total, W, int64_t) {
    return total;
  }
};

}  // namespace tandem::cpu::reduction
