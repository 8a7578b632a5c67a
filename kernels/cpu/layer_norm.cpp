// Forward: one thread a row. Backward: rows first (dx, and each row's statistics), then columns (scale and bias), each thread a
// block of them down all rows, so that no sum is ever split between threads.
#include "kernels/api/layer_norm.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kElementsPerThread = 16 * 1024;  // below this a second thread costs more than it brings
constexpr int64_t kColumnBlock = 256;  // at most, a multiple of 64
constexpr int64_t kRowsTogether = 16;

template <class T>
struct RowStatistics {
  T mean, inverse;
};

enum class Mean : uint8_t { kOfRow, kZero };  // layer or RMS normalization

template <class T>
RowStatistics<T> statistics(const simd::RowOps<T>& row, const T* x, int64_t length, double epsilon, Mean about) {
  const double n = static_cast<double>(length);
  const T mean = about == Mean::kZero ? T{0} : static_cast<T>(static_cast<double>(row.sum(x, length)) / n);
  const double var = static_cast<double>(row.squared_deviation(x, length, mean)) / n;
  return {mean, static_cast<T>(1 / std::sqrt(var + epsilon))};
}

template <class T>
T* data_or_null(TensorView view) {
  return view ? view.as<T>().data() : nullptr;
}

// Workspace: the statistics of all rows, then one row a thread.
size_t statistics_bytes(int64_t rows, DType dtype) { return static_cast<size_t>(round_up(2 * rows, 16)) * size_of(dtype); }
int64_t scratch_row_elements(int64_t length) { return round_up(length, 16); }

// dscale and dbias: columns [first, last) summed down the rows, kRowsTogether of them in T, these sums in double.
template <class T>
void sum_columns(const simd::RowOps<T>& row, const T* dy, const T* x, const RowStatistics<T>* of, int64_t rows, int64_t length, int64_t first,
                 int64_t last, T* dscale, T* dbias) {
  std::array<double, kColumnBlock> scale_sum{}, bias_sum{};
  std::array<T, kColumnBlock> scale_part, bias_part, product;
  const int64_t columns = last - first;
  for (int64_t begin = 0; begin < rows; begin += kRowsTogether) {
    scale_part.fill(0), bias_part.fill(0);
    for (int64_t r = begin; r < std::min(rows, begin + kRowsTogether); ++r) {
      const T* grad = dy + r * length + first;
      row.product(grad, x + r * length + first, product.data(), columns, -of[r].mean);
      row.combine(scale_part.data(), product.data(), scale_part.data(), columns, 1, of[r].inverse, 0);
      row.combine(bias_part.data(), grad, bias_part.data(), columns, 1, 1, 0);
    }
    for (size_t c = 0; c < static_cast<size_t>(columns); ++c) {
      scale_sum[c] += static_cast<double>(scale_part[c]);
      bias_sum[c] += static_cast<double>(bias_part[c]);
    }
  }
  for (int64_t c = 0; c < columns; ++c) {
    if (dscale) dscale[first + c] = static_cast<T>(scale_sum[static_cast<size_t>(c)]);
    if (dbias) dbias[first + c] = static_cast<T>(bias_sum[static_cast<size_t>(c)]);
  }
}

// dx = inverse * (g - mean(g) - xhat * mean(g * xhat)) with g = dy * scale, as a combination of g and x.
template <class T>
void row_grad(const simd::RowOps<T>& row, const T* dy, const T* x, const T* scale, RowStatistics<T> of, Mean about, T* g,
              T* dx, int64_t length) {
  row.product(dy, scale, g, length, 0);
  const double n = static_cast<double>(length), inverse = of.inverse;
  const double mean_g = about == Mean::kZero ? 0 : static_cast<double>(row.sum(g, length)) / n;
  const double mean_g_xhat = static_cast<double>(row.dot(x, g, length, of.mean)) * inverse / n;
  const double x_scale = -inverse * inverse * mean_g_xhat;
  const double offset = -inverse * mean_g - x_scale * static_cast<double>(of.mean);
  row.combine(g, x, dx, length, of.inverse, static_cast<T>(x_scale), static_cast<T>(offset));
}

void normalize(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon, Mean about) {
  visit_float(views.x.dtype, [&]<class T>() {
    const auto& row = simd::row_ops<T>();
    const T* x = views.x.as<T>().data();
    const T* scale = views.scale.as<T>().data();
    const T* bias = views.bias ? views.bias.as<T>().data() : nullptr;
    T* y = views.y.as<T>().data();
    float *means = data_or_null<float>(views.mean), *inverses = data_or_null<float>(views.inverse);
#pragma omp parallel for num_threads(context.threads) if (rows * length >= kElementsPerThread * context.threads)
    for (int64_t r = 0; r < rows; ++r) {
      const RowStatistics<T> of = statistics(row, x + r * length, length, epsilon, about);
      T* out = y + r * length;
      const T* centred = x + r * length;
      if (about == Mean::kOfRow) {
        row.affine(centred, out, length, 1, -of.mean);
        centred = out;
      }
      row.affine(centred, out, length, of.inverse, 0);
      if (bias != nullptr)
        row.multiply_add(out, scale, bias, out, length);
      else
        row.product(out, scale, out, length, 0);
      if (means) means[r] = static_cast<float>(of.mean);
      if (inverses) inverses[r] = static_cast<float>(of.inverse);
    }
  });
}

void normalize_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon,
                    Mean about) {
  visit_float(views.x.dtype, [&]<class T>() {
    const auto& row = simd::row_ops<T>();
    const T *dy = views.dy.as<T>().data(), *x = views.x.as<T>().data(), *scale = views.scale.as<T>().data();
    T *dx = data_or_null<T>(views.dx), *dscale = data_or_null<T>(views.dscale), *dbias = data_or_null<T>(views.dbias);
    auto* of = reinterpret_cast<RowStatistics<T>*>(context.workspace.data());
    T* scratch = reinterpret_cast<T*>(context.workspace.data() + statistics_bytes(rows, dtype_of<T>));
    const bool split = rows * length >= kElementsPerThread * context.threads;
#pragma omp parallel for num_threads(context.threads) if (split)
    for (int64_t r = 0; r < rows; ++r) of[r] = statistics(row, x + r * length, length, epsilon, about);
    // Columns before rows: dx may be the memory of dy or x.
    const int64_t block = std::min(kColumnBlock, round_up(ceil_div(length, context.threads), 64));
    const int64_t blocks = dscale || dbias ? ceil_div(length, block) : 0;
#pragma omp parallel for num_threads(context.threads) if (split)
    for (int64_t b = 0; b < blocks; ++b)
      sum_columns(row, dy, x, of, rows, length, b * block, std::min(length, (b + 1) * block), dscale, dbias);
    if (dx == nullptr) return;
#pragma omp parallel for num_threads(context.threads) if (split)
    for (int64_t r = 0; r < rows; ++r) {
      T* g = scratch + omp_get_thread_num() * scratch_row_elements(length);
      row_grad(row, dy + r * length, x + r * length, scale, of[r], about, g, dx + r * length, length);
    }
  });
}

}  // namespace

size_t layer_norm_grad_workspace(int64_t rows, int64_t length, DType dtype, int threads) {
  return statistics_bytes(rows, dtype) + static_cast<size_t>(threads * scratch_row_elements(length)) * size_of(dtype);
}

void layer_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize(context, views, rows, length, epsilon, Mean::kOfRow);
}
void layer_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize_grad(context, views, rows, length, epsilon, Mean::kOfRow);
}
void rms_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize(context, views, rows, length, epsilon, Mean::kZero);
}
void rms_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize_grad(context, views, rows, length, epsilon, Mean::kZero);
}

}  // namespace tandem::cpu
