#include "kernels/api/integer_products.h"

#include <algorithm>

#include "kernels/api/integer_gemm.h"
#include "kernels/api/products_of_run.h"
#include "kernels/api/quantize.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Where product i of a set begins in A and B.
struct Offsets {
  int64_t a = 0, b = 0;
};
Offsets offsets_of(const ProductSet& set, int64_t i) {
  Offsets at;
  for (int axis = set.rank - 1; axis >= 0; --axis) {
    const auto k = static_cast<size_t>(axis);
    at.a += i % set.sizes[k] * set.a_strides[k];
    at.b += i % set.sizes[k] * set.b_strides[k];
    i /= set.sizes[k];
  }
  return at;
}

// The matrix that begins at element `offset` of `x`, with its zero points: `lines` rows (of A) or columns (of B) a matrix of
// `size` elements.
IntegerMatrix matrix_at(ConstTensorView x, ConstTensorView zero, int64_t offset, int64_t size, int64_t lines,
                        int64_t row_stride) {
  IntegerMatrix matrix = {x.data + offset, x.dtype == DType::kI8, row_stride, 1, nullptr, 1};
  if (!zero) return matrix;
  const int64_t count = zero.elements();
  const bool one_a_matrix_line = count > lines;
  require(count == 1 || lines % count == 0 || one_a_matrix_line,
          "zero points must be one, or one a row or column (zero points, operand)", to_string(zero.shape), to_string(x.shape));
  matrix.zero = zero.data + (one_a_matrix_line && size > 0 ? offset / size * lines : 0);
  matrix.zeros = one_a_matrix_line ? lines : count;
  return matrix;
}

float column_scale(const ProductScales& s, int64_t row, int64_t columns, int64_t column) {
  if (s.column_count == 1) return s.columns[0];
  return s.columns[s.column_count == columns ? column : row / s.rows_of_matrix * columns + column];
}

}  // namespace

size_t quantized_matmul_workspace_bytes(const Shape& a, const Shape& b, bool b_is_packed) {
  const MatmulProducts o = matmul_products(a, b, false, false);
  return integer_gemm_workspace_bytes({o.m, o.n, o.k}, b_is_packed);
}

void quantized_matmul(const KernelContext& context, ConstTensorView a, ConstTensorView a_zero, ConstTensorView b,
                      ConstTensorView b_zero, TensorView y, const OutputScales* scales, const PackedIntegers* packed_b) {
  const MatmulProducts o =
      products_of_run(a.shape, b.shape, false, false, context.workspace.size(), [&](const MatmulProducts& p) {
        return integer_gemm_workspace_bytes({p.m, p.n, p.k}, packed_b != nullptr);
      });
  ensure(y.elements() == o.set.count * o.m * o.n, "output of an integer product has the wrong shape", to_string(y.shape));
  for (int64_t i = 0; i < o.set.count; ++i) {
    const Offsets at = offsets_of(o.set, i);
    IntegerResult result = {.scales = scales, .stride = o.n};
    if (scales)
      result.quantized = y.data + i * o.m * o.n;
    else
      result.sums = y.as<int32_t>().data() + i * o.m * o.n;
    integer_gemm(context, {o.m, o.n, o.k}, matrix_at(a, a_zero, at.a, o.m * o.k, o.m, o.k),
                 matrix_at(b, b_zero, at.b, o.n * o.k, o.n, o.n), result, packed_b);
  }
}

void requantize(const KernelContext& context, const int32_t* x, int64_t rows, int64_t columns, const ProductScales& scales,
                float y_scale, int32_t y_zero, TensorView y) {
  const IntegerRange range = quantized_range(y.dtype);
  const int32_t low = static_cast<int32_t>(range.lowest) - y_zero, high = static_cast<int32_t>(range.highest) - y_zero;
  parallel_chunks(context, rows, grain_of(columns), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        const ResultScale scale = {.product = static_cast<double>(scales.rows[i % scales.row_count]) *
                                              static_cast<double>(column_scale(scales, i, columns, j)),
                                   .unit = static_cast<double>(y_scale)};
        y.data[i * columns + j] = static_cast<std::byte>(requantized(x[i * columns + j], scale, low, high) + y_zero);
      }
  });
}

void scale_products(const KernelContext& context, const int32_t* x, int64_t rows, int64_t columns, const ProductScales& scales,
                    ConstTensorView bias, TensorView y) {
  const float* added = bias ? bias.as<float>().data() : nullptr;
  float* out = y.as<float>().data();
  parallel_chunks(context, rows, grain_of(columns), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      for (int64_t j = 0; j < columns; ++j)
        out[i * columns + j] =
            static_cast<float>(x[i * columns + j]) * (scales.rows[i % scales.row_count] * column_scale(scales, i, columns, j)) +
            (added ? added[j] : 0.0f);
  });
}

}  // namespace tandem::cpu
