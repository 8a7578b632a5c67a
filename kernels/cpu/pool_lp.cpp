// Lp pooling: the p-norm of each window. p of 1 and 2, all that is met in practice, need no pow.
#include <cmath>

#include "kernels/cpu/pool_sums.h"

namespace tandem::cpu {

void lp_pool(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, int64_t p) {
  check_pool(w, x.shape, y.shape);
  visit_float(x.dtype, [&]<class T>() {
    const auto pool = [&](auto term, auto root) {
      sum_pool<T>(context, w, x, y, term, [root](const LinePart& part, T* line) {
        for (int64_t i = 0; i < part.count; ++i) line[i] = root(line[i]);
      });
    };
    const T power = static_cast<T>(p);
    if (p == 1)
      pool([](T v) { return std::abs(v); }, [](T sum) { return sum; });
    else if (p == 2)
      pool([](T v) { return v * v; }, [](T sum) { return std::sqrt(sum); });
    else
      pool([power](T v) { return std::pow(std::abs(v), power); }, [power](T sum) { return std::pow(sum, 1 / power); });
  });
}

// d y / d x of a window is sign(x) (|x| / y)^(p - 1); 0 where the window is 0.
void lp_pool_grad(const KernelContext& context, const Window& w, ConstTensorView x, ConstTensorView y, ConstTensorView dy,
                  TensorView dx, int64_t p) {
  check_pool(w, x.shape, y.shape);
  visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *norms = y.as<T>().data(), *upstream = dy.as<T>().data();
    T* out = dx.as<T>().data();
    const auto slope = [power = static_cast<T>(p - 1), p](T v, T norm) {
      if (v == 0 || norm == 0) return T(0);
      return p == 1 ? std::copysign(T(1), v) : p == 2 ? v / norm : std::copysign(std::pow(std::abs(v) / norm, power), v);
    };
    for_each_plane(context, w, x.shape, [&](int64_t plane) {
      const T* source = in + plane * w.input_size();
      T* target = out + plane * w.input_size();
      std::fill_n(target, w.input_size(), T(0));
      for_each_part(w, [&](const LinePart& part) {
        const int64_t line = plane * w.output_size() + part.first(w);
        for_each_tap_of(w, part, [&](int64_t first, int64_t last, int64_t at) {
          for (int64_t i = first; i < last; ++i, at += w.stride[2])
            target[at] += upstream[line + i] * slope(source[at], norms[line + i]);
        });
      });
    });
  });
}

}  // namespace tandem::cpu
