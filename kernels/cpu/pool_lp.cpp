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

}  // namespace tandem::cpu
