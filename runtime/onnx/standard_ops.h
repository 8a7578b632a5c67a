// Internal ops in ONNX's own terms, for export.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// The graph with tandem.FusedGemm, FusedMatMul, MatMul, FusedConv and FusedAttention written as Gemm, MatMul, Conv, Transpose, Mul, Add,
// Softmax and an activation; ops on quantized tensors as what lies between DequantizeLinear and QuantizeLinear, tables as Gather; all as of
// `opset`. Throws InvalidArgument listing the internal ops that have no such form.
Graph with_standard_ops(const Graph& graph, int opset);

}  // namespace tandem
