#include "kernels/api/determinant.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/checked.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Destroys m, [n, n].
double eliminate(double* m, int64_t n) {
  double product = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t r = k + 1; r < n; ++r)
      if (std::fabs(m[r * n + k]) > std::fabs(m[pivot * n + k])) pivot = r;
    if (pivot != k) {
      std::swap_ranges(m + k * n, m + (k + 1) * n, m + pivot * n);
      product = -product;
    }
    const double head = m[k * n + k];
    product *= head;
    if (head == 0) return 0;
    for (int64_t r = k + 1; r < n; ++r) {
      const double factor = m[r * n + k] / head;
      for (int64_t c = k + 1; c < n; ++c) m[r * n + c] -= factor * m[k * n + c];
    }
  }
  return product;
}

}  // namespace

size_t determinant_workspace(int64_t n, int threads) {
  const int64_t square = checked_mul(n, n, "matrix");
  return static_cast<size_t>(checked_mul(square, static_cast<int64_t>(sizeof(double)) * threads, "matrix"));
}

void determinant(const KernelContext& context, ConstTensorView x, TensorView y) {
  const int64_t n = x.shape[x.shape.rank() - 1], size = n * n;
  double* scratch = reinterpret_cast<double*>(context.workspace.data());
  visit_float(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, y.elements(), grain_of(size * n), [&](int64_t begin, int64_t end) {
      double* matrix = scratch + omp_get_thread_num() * size;
      for (int64_t i = begin; i < end; ++i) {
        std::copy_n(in + i * size, size, matrix);
        out[i] = static_cast<T>(eliminate(matrix, n));
      }
    });
  });
}

}  // namespace tandem::cpu
