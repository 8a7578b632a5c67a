// Mixed precision: products and what follows them in a 16-bit float, everything else in f32.
//
// Convolutions and matrix products take f16 or bf16 and add up in f32; elementwise ops, pooling and movement follow the type that reaches
// them; normalisation, softmax, losses, reductions and all else go on in f32, behind casts. Weights stay f32 (the master copy): they are cast
// where they are used, and gradients come back to them in f32. Graph inputs and outputs keep their types.
// Source: Micikevicius et al., "Mixed Precision Training", 2018; the split is that of torch.autocast.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// `half` is kF16 or kBF16. Returns the number of nodes that now run in it. Call it before gradients are appended.
int lower_precision(Graph& graph, DType half);

}  // namespace tandem
