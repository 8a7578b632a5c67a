// SparseTensorProto -> Tensor: as ONNX defines it, another way to write a dense tensor that is mostly zeros.
#pragma once


#include "runtime/graph/limits.h"
#include "runtime/graph/tensor.h"

namespace tandem_onnx_proto {
class SparseTensorProto;
}

namespace tandem {

class TensorFiles;

// `values` are the elements that are not zero; `indices` name their places, one number each in row-major order of all elements or one a
// dimension, rising. Throws InvalidArgument, naming the tensor, for indices that do not fit, and for a dense form that would be far larger than
// what the file holds.
Tensor read_sparse_tensor(const tandem_onnx_proto::SparseTensorProto& proto, TensorFiles& files, const Limits& limits);

}  // namespace tandem
