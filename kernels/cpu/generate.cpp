#include "kernels/api/generate.h"

#include <cmath>
#include <numbers>

#include "kernels/api/convert.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

void eye(const KernelContext& context, int64_t k, TensorView y) {
  const int64_t rows = y.shape[0], columns = y.shape[1];
  visit_arithmetic_or_bool(y.dtype, [&]<class T>() {
    T* out = y.as<T>().data();
    parallel_chunks(context, rows, grain_of(columns), [&](int64_t begin, int64_t end) {
      std::fill(out + begin * columns, out + end * columns, T{0});
      for (int64_t row = begin; row < end; ++row)
        if (k >= -row && k < columns - row) out[row * columns + row + k] = T{1};
    });
  });
}

void cosine_window(const KernelContext& context, CosineWindow window, int64_t period, TensorView y) {
  const double step = 2 * std::numbers::pi / static_cast<double>(period);
  visit_arithmetic(y.dtype, [&]<class T>() {
    T* out = y.as<T>().data();
    parallel_chunks(context, y.elements(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const double angle = step * static_cast<double>(n);
        out[n] = convert<T>(window.a - window.b * std::cos(angle) + window.c * std::cos(2 * angle));
      }
    });
  });
}

}  // namespace tandem::cpu
