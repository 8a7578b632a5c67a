// Rows of a table summed bag by bag: Gather and a reduction of what it gathers, without the gathered rows in memory.
//
// table: [rows, width]. indices: i32 or i64 of any rank; those along one of its axes are a bag. y: the shape of `indices` without that axis (or
// with 1 in its place), then width. weights: as many numbers as indices, in their order; of sums only. f32 or f64, all of one type. An index is in
// [-rows, rows); one outside throws InvalidArgument before anything is written. An empty bag's sum is 0, its mean NaN, its maximum -infinity.
// Outputs overlap no input.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

enum class BagMode : uint8_t { kSum, kMean, kMax };

struct EmbeddingBag {
  BagMode mode = BagMode::kSum;
  int axis = 0;  // of `indices`
};

namespace cpu {

// Up to 32 rows are added in their order, more in blocks of 32. NaN is the maximum of whatever holds it.
void embedding_bag(const KernelContext&, ConstTensorView table, ConstTensorView indices, ConstTensorView weights, EmbeddingBag, TensorView y);

// dtable = 0, then each bag adds its slope to its rows, in the order of the bags. A maximum's slope is shared equally by the rows that hold it.
void embedding_bag_backward(const KernelContext&, ConstTensorView dy, ConstTensorView table, ConstTensorView indices, ConstTensorView weights,
                            EmbeddingBag, TensorView dtable);
// dweights[i] = sum of table[indices[i]] * dy[bag of i]
void embedding_bag_weights_backward(const KernelContext&, ConstTensorView dy, ConstTensorView table, ConstTensorView indices, EmbeddingBag,
                                    TensorView dweights);

}  // namespace cpu
}  // namespace tandem
