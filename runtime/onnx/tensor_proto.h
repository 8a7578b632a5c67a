// TensorProto <-> Tensor, in all of its storage forms: raw bytes, typed fields, a file beside the model.
#pragma once

#include <filesystem>
#include <string_view>

#include "runtime/graph/limits.h"
#include "runtime/graph/tensor.h"

namespace tandem_onnx_proto {
class TensorProto;
}

namespace tandem {

// The DType of a TensorProto.DataType. Throws InvalidArgument naming the type if Tandem does not store it.
DType dtype_of_proto(int data_type);

// Throws InvalidArgument, naming the tensor, unless the data is exactly as long as the dims say.
Tensor read_tensor(const tandem_onnx_proto::TensorProto& proto, const std::filesystem::path& folder, const Limits& limits);

void write_tensor(const Tensor& tensor, std::string_view name, tandem_onnx_proto::TensorProto& proto);

}  // namespace tandem
