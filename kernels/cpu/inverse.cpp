#include "kernels/api/inverse.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/checked.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Turns m, [n, 2n], whose right half is the identity, into what has the identity on the left.
void eliminate(double* m, int64_t n) {
  const int64_t width = 2 * n;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t r = k + 1; r < n; ++r)
      if (std::fabs(m[r * width + k]) > std::fabs(m[pivot * width + k])) pivot = r;
    double* head = m + k * width;
    if (pivot != k) std::swap_ranges(head, head + width, m + pivot * width);
    const double scale = 1 / head[k];
    for (int64_t c = k; c < width; ++c) head[c] *= scale;
    for (int64_t r = 0; r < n; ++r) {
      if (r == k) continue;
      double* row = m + r * width;
      const double factor = row[k];
      for (int64_t c = k; c < width; ++c) row[c] -= factor * head[c];
    }
  }
}

}  // namespace

size_t inverse_workspace(int64_t n, int threads) {
  const int64_t square = checked_mul(checked_mul(n, n, "matrix"), 2, "matrix");
  return static_cast<size_t>(checked_mul(square, static_cast<int64_t>(sizeof(double)) * threads, "matrix"));
}

void inverse(const KernelContext& context, ConstTensorView x, TensorView y) {
  const int64_t n = x.shape[x.shape.rank() - 1], size = n * n;
  if (size == 0) return;
  double* scratch = reinterpret_cast<double*>(context.workspace.data());
  visit_float(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, x.elements() / size, grain_of(2 * size * n), [&](int64_t begin, int64_t end) {
      double* matrix = scratch + omp_get_thread_num() * 2 * size;
      for (int64_t i = begin; i < end; ++i) {
        std::fill_n(matrix, 2 * size, 0.0);
        for (int64_t r = 0; r < n; ++r) {
          std::copy_n(in + i * size + r * n, n, matrix + r * 2 * n);
          matrix[r * 2 * n + n + r] = 1;
        }
        eliminate(matrix, n);
        for (int64_t r = 0; r < n; ++r)
          for (int64_t c = 0; c < n; ++c) out[i * size + r * n + c] = static_cast<T>(matrix[r * 2 * n + n + c]);
      }
    });
  });
}

}  // namespace tandem::cpu
