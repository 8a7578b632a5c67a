#include "kernels/api/matmul_products.h"

#include "kernels/api/products_of_run.h"

#include <algorithm>

namespace tandem {
namespace {

// A 1-D operand has got its axis of 1.
struct Operands {
  Shape a_lead, b_lead, lead;
  int64_t m, n, k;
  bool a_is_vector, b_is_vector;
};

Shape leading(const Shape& shape) { return Shape(shape.dims().first(static_cast<size_t>(std::max(0, shape.rank() - 2)))); }

Operands operands_of(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
  require(a.rank() >= 1 && b.rank() >= 1, "matmul of a scalar", to_string(a), to_string(b));
  Operands o;
  o.a_is_vector = a.rank() == 1, o.b_is_vector = b.rank() == 1;
  require(!(o.a_is_vector && transpose_a) && !(o.b_is_vector && transpose_b), "matmul cannot transpose a vector", to_string(a),
          to_string(b));
  const int64_t a_rows = o.a_is_vector ? 1 : a[a.rank() - 2], a_cols = a[a.rank() - 1];
  const int64_t b_rows = o.b_is_vector ? b[0] : b[b.rank() - 2], b_cols = o.b_is_vector ? 1 : b[b.rank() - 1];
  o.m = transpose_a ? a_cols : a_rows;
  o.k = transpose_a ? a_rows : a_cols;
  o.n = transpose_b ? b_rows : b_cols;
  require(o.k == (transpose_b ? b_cols : b_rows), "inner sizes of matmul differ", to_string(a), to_string(b));
  o.a_lead = leading(a), o.b_lead = leading(b);
  o.lead = broadcast(o.a_lead, o.b_lead);
  return o;
}

void fold_leading_axes(Operands& o, bool transpose_a) {
  if (transpose_a || o.b_lead.elements() != 1 || o.a_lead.elements() != o.lead.elements()) return;
  o.m *= o.lead.elements();
  o.a_lead = o.b_lead = o.lead = Shape();
}

ProductSet products_of(const Operands& o) {
  ProductSet set;
  set.c_stride = set.addend_stride = o.m * o.n;
  for (int axis = 0; axis < o.lead.rank(); ++axis) {
    const auto stride = [&](const Shape& lead, int64_t matrix) {
      const int at = axis - (o.lead.rank() - lead.rank());
      return at < 0 || lead[at] == 1 ? 0 : lead.product(at + 1, lead.rank()) * matrix;
    };
    set.push_back(o.lead[axis], stride(o.a_lead, o.m * o.k), stride(o.b_lead, o.k * o.n));
  }
  return set;
}

}  // namespace

ProductSet with_merged_axes(const ProductSet& set) {
  ProductSet merged;
  merged.c_stride = set.c_stride, merged.addend_stride = set.addend_stride;
  for (size_t axis = 0; axis < static_cast<size_t>(set.rank); ++axis) {
    const int64_t size = set.sizes[axis], a = set.a_strides[axis], b = set.b_strides[axis];
    const size_t last = static_cast<size_t>(merged.rank) - 1;
    if (size == 1) continue;
    if (merged.rank == 0 || merged.a_strides[last] != a * size || merged.b_strides[last] != b * size) {
      merged.push_back(size, a, b);
      continue;
    }
    merged.sizes[last] *= size, merged.a_strides[last] = a, merged.b_strides[last] = b;
    merged.count *= size;
  }
  return merged;
}

MatmulProducts matmul_products(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
  Operands o = operands_of(a, b, transpose_a, transpose_b);
  fold_leading_axes(o, transpose_a);
  return {o.m, o.n, o.k, products_of(o)};
}

MatmulProducts unfolded_products(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
  const Operands o = operands_of(a, b, transpose_a, transpose_b);
  return {o.m, o.n, o.k, products_of(o)};
}

Shape matmul_shape(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
  const Operands o = operands_of(a, b, transpose_a, transpose_b);
  Shape y = o.lead;
  if (!o.a_is_vector) y.push_back(o.m);
  if (!o.b_is_vector) y.push_back(o.n);
  return Shape(y.dims());
}

}  // namespace tandem
