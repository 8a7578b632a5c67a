// A parsed model becomes a Graph.
#pragma once

#include "runtime/graph/graph.h"
#include "runtime/onnx/model_file.h"
#include "runtime/onnx/onnx.h"
#include "runtime/onnx/tensor_files.h"

namespace tandem_onnx_proto {
class ModelProto;
}

namespace tandem {

// `raw`: of initializers, by index, whose raw data is not in the message but in a file of `files`. The message's functions are expanded on the
// way. Throws InvalidArgument naming node and value for what no graph can be.
Graph import_model(tandem_onnx_proto::ModelProto& model, TensorFiles& files, const RawRanges& raw, const Limits& limits, const NameSet& given);

}  // namespace tandem
