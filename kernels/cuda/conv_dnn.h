// Convolutions by cuDNN 9.
#pragma once

#include "kernels/api/conv.h"

namespace tandem::cuda {

enum class ConvDirection : uint8_t { kForward, kInputGrad, kWeightGrad };

// One of the three products, with types as values; which of x, w and y is written, its direction says. Device memory. `beta`
// scales what was there before.
struct DnnConvolution {
  ConvDirection direction;
  const ConvGeometry& geometry;
  int64_t batch;
  DType dtype;
  const void *x, *w, *y;
  double beta = 0;
};

// Makes the product if the library is there and has a deterministic algorithm for it; else returns false and does nothing. How it
// is made is found once for a session, shape and type. While launches are only noted, the library is taken to have an algorithm
// for all that it can express.
bool dnn_convolve(const KernelContext&, const DnnConvolution&);

// What dnn_convolve can make use of; 0 without the library, or where it is not asked.
size_t dnn_workspace_bytes(const ConvGeometry&);

}  // namespace tandem::cuda
