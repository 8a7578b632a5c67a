// The products that one call makes: a batch, or NumPy's matmul with its broadcast leading axes. Index arithmetic of both twins.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/base/shape.h"

namespace tandem {

// Where the products of a set lie: product i is the i-th index, row-major, into `sizes`; a stride of 0 repeats a matrix.
struct ProductSet {
  int64_t count = 1;
  int rank = 0;
  std::array<int64_t, Shape::kMaxRank> sizes{}, a_strides{}, b_strides{};
  int64_t c_stride = 0, addend_stride = 0;  // products lie one after another in C and in what is added

  void push_back(int64_t size, int64_t a_stride, int64_t b_stride) {
    const auto axis = static_cast<size_t>(rank++);
    sizes[axis] = size, a_strides[axis] = a_stride, b_strides[axis] = b_stride;
    count *= size;
  }
};

// The same products with as few axes as their strides allow.
ProductSet with_merged_axes(const ProductSet& set);

// matmul's operands as stacks of matrices: op(A) is [m, k], op(B) is [k, n].
struct MatmulProducts {
  int64_t m = 0, n = 0, k = 0;
  ProductSet set;
};

// Where only `a` has leading axes they become rows of one product. Throws InvalidArgument, naming both shapes, if they do not multiply.
MatmulProducts matmul_products(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b);
Shape matmul_shape(const Shape& a, const Shape& b, bool transpose_a = false, bool transpose_b = false);

}  // namespace tandem
