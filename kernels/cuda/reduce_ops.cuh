// What the reductions compute, for reduce.cu: what an element contributes, how two contributions join, and the last step.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/api/integer_arithmetic.h"
#include "kernels/api/reduce.h"
#include "kernels/cuda/device/number.cuh"

namespace tandem::cuda::reduction {

struct Add {
  template <class T, class W>
  static constexpr W neutral() {
    return 0;
  }
  template <class W>
  __device__ W operator()(W a, W b) const {
    return static_cast<W>(static_cast<Wrapping<W>>(a) + static_cast<Wrapping<W>>(b));
  }
};
struct Multiply {
  template <class T, class W>
  static constexpr W neutral() {
    return 1;
  }
  template <class W>
  __device__ W operator()(W a, W b) const {
    return static_cast<W>(static_cast<Wrapping<W>>(a) * static_cast<Wrapping<W>>(b));
  }
};
// NaN wins.
struct Largest {
  template <class T, class W>
  static constexpr W neutral() {
    if constexpr (std::is_integral_v<W>)
      return static_cast<W>(std::numeric_limits<T>::lowest());
    else
      return -std::numeric_limits<W>::infinity();
  }
  template <class W>
  __device__ W operator()(W a, W b) const {
    return a > b || a != a ? a : b;
  }
};
struct Smallest {
  template <class T, class W>
  static constexpr W neutral() {
    if constexpr (std::is_integral_v<W>)
      return static_cast<W>(std::numeric_limits<T>::max());
    else
      return std::numeric_limits<W>::infinity();
  }
  template <class W>
  __device__ W operator()(W a, W b) const {
    return a < b || a != a ? a : b;
  }
};

struct Itself {
  template <class C>
  __device__ C operator()(C x, C) const {
    return x;
  }
};
struct Absolute {
  template <class C>
  __device__ C operator()(C x, C) const {
    if constexpr (std::is_integral_v<C>)
      return x < 0 ? wrapping_negate(x) : x;
    else
      return x < 0 ? -x : x;
  }
};
struct Square {
  template <class C>
  __device__ C operator()(C x, C) const {
    return static_cast<C>(static_cast<Wrapping<C>>(x) * static_cast<Wrapping<C>>(x));
  }
};
template <class C>
__device__ C usable_shift(C largest) {
  return std::isinf(largest) ? C{0} : largest;
}
// The second pass of log-sum-exp; the first has left the largest element in the output.
struct ShiftedExp {
  template <class C>
  __device__ C operator()(C x, C largest) const {
    return std::exp(x - usable_shift(largest));
  }
};

template <class W>
__device__ W finish(ReduceOp op, W total, W largest, int64_t n) {
  if (op == ReduceOp::kL2) return static_cast<W>(std::sqrt(static_cast<double>(total)));
  if constexpr (std::is_integral_v<W>) {
    return op != ReduceOp::kMean ? total : n ? static_cast<W>(total / n) : W{0};
  } else {
    if (op == ReduceOp::kMean) return total / static_cast<W>(n);
    if (op == ReduceOp::kLogSum) return std::log(total);
    return op == ReduceOp::kLogSumExp ? std::log(total) + usable_shift(largest) : total;
  }
}

}  // namespace tandem::cuda::reduction
