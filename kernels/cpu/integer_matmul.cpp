// Rows of all products are shared between threads; a row of y gathers scaled rows of b, a loop that vectorises.
#include "kernels/api/integer_matmul.h"

#include "kernels/api/matmul_products.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Where product i's operand begins.
int64_t offset_of(const ProductSet& set, const std::array<int64_t, Shape::kMaxRank>& strides, int64_t i) {
  int64_t offset = 0;
  for (int axis = set.rank - 1; axis >= 0; --axis) {
    const auto at = static_cast<size_t>(axis);
    offset += i % set.sizes[at] * strides[at];
    i /= set.sizes[at];
  }
  return offset;
}

template <class F>
void visit_wide_integer(DType t, F&& f) {
  switch (t) {
    case DType::kI32: return f.template operator()<int32_t>();
    case DType::kI64: return f.template operator()<int64_t>();
    case DType::kU32: return f.template operator()<uint32_t>();
    case DType::kU64: return f.template operator()<uint64_t>();
    default: no_kernel_for(t);
  }
}

}  // namespace

void integer_matmul(const KernelContext& context, ConstTensorView a, ConstTensorView b, bool transpose_a, bool transpose_b,
                    TensorView y) {
  require(is_integer(a.dtype), "integer_matmul takes integers", name(a.dtype));
  const MatmulProducts o = matmul_products(a.shape, b.shape, transpose_a, transpose_b);
  ensure(y.elements() == o.set.count * o.m * o.n, "output of matmul has the wrong shape", to_string(y.shape));
  // The low bits of a sum of products do not depend on signs.
  visit_size(a.dtype, [&]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      const T *left = a.raw<T>().data(), *right = b.raw<T>().data();
      T* out = y.raw<T>().data();
      const int64_t a_row = transpose_a ? 1 : o.k, a_k = transpose_a ? o.m : 1, b_k = transpose_b ? 1 : o.n,
                    b_column = transpose_b ? o.k : 1;
      parallel_chunks(context, o.set.count * o.m, grain_of(o.n * o.k), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const T* as = left + offset_of(o.set, o.set.a_strides, row / o.m) + row % o.m * a_row;
          const T* bs = right + offset_of(o.set, o.set.b_strides, row / o.m);
          T* sums = out + row * o.n;
          std::fill_n(sums, o.n, T{0});
          for (int64_t k = 0; k < o.k; ++k)
            for (int64_t j = 0; j < o.n; ++j)
              sums[j] = static_cast<T>(sums[j] + uint64_t{as[k * a_k]} * uint64_t{bs[k * b_k + j * b_column]});
        }
      });
    }
  });
}

void integer_addend(const KernelContext& context, double alpha, double beta, ConstTensorView c, TensorView y) {
  const int64_t columns = y.shape[1], c_columns = c.shape.rank() > 0 ? c.shape[c.shape.rank() - 1] : 1;
  const int64_t c_rows = c.shape.rank() > 1 ? c.shape[0] : 1;
  visit_wide_integer(y.dtype, [&]<class T>() {
    const auto scaled = [](double factor, T x) { return factor == 1 ? x : static_cast<T>(factor * static_cast<double>(x)); };
    const T* addend = c ? c.as<T>().data() : nullptr;
    T* out = y.as<T>().data();
    parallel_chunks(context, y.shape[0], grain_of(columns), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < columns; ++j) {
          const T more = addend ? scaled(beta, addend[(c_rows == 1 ? 0 : i) * c_columns + (c_columns == 1 ? 0 : j)]) : T{0};
          out[i * columns + j] =
              static_cast<T>(static_cast<uint64_t>(scaled(alpha, out[i * columns + j])) + static_cast<uint64_t>(more));
        }
    });
  });
}

}  // namespace tandem::cpu
