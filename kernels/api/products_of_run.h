// The products of a run whose workspace was planned for the largest shapes. Where sizes of 1 leave B without leading axes that it has in
// the plan, those of A could become rows of one product, of more rows than the plan knew: then they do so only if there is room.
#pragma once

#include "kernels/api/matmul_products.h"

namespace tandem {

// As matmul_products, but leading axes stay products of their own: each has no more rows than at the largest shapes.
MatmulProducts unfolded_products(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b);

// `bytes_of(products)`: the workspace that these products want, of which there are `workspace` bytes.
template <class Bytes>
MatmulProducts products_of_run(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b, size_t workspace, Bytes bytes_of) {
  const MatmulProducts products = matmul_products(a, b, transpose_a, transpose_b);
  return bytes_of(products) <= workspace ? products : unfolded_products(a, b, transpose_a, transpose_b);
}

}  // namespace tandem
