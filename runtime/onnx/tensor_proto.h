// TensorProto <-> Tensor, in all of its storage forms: raw bytes, typed fields, a file beside the model.
#pragma once

#include <string_view>

#include "runtime/graph/limits.h"
#include "runtime/graph/tensor.h"

namespace tandem_onnx_proto {
class TensorProto;
}

namespace tandem {

// The DType of a TensorProto.DataType. Throws InvalidArgument naming the type if Tandem does not store it.
DType dtype_of_proto(int data_type);

class TensorFiles;
struct FileRange;

// `inside`: where the model's file has the raw data, if the message was parsed without it (model_file.h). Throws InvalidArgument, naming the
// tensor, unless the data is exactly as long as the dims say.
Tensor read_tensor(const tandem_onnx_proto::TensorProto& proto, TensorFiles& files, const Limits& limits, const FileRange* inside = nullptr);

void write_tensor(const Tensor& tensor, std::string_view name, tandem_onnx_proto::TensorProto& proto);

}  // namespace tandem
