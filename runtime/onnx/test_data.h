// What ONNX's backend test cases need beside the import of models: values in .pb files, and the ops that a model names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/limits.h"
#include "runtime/graph/run_value.h"

namespace tandem {

// A serialized TensorProto, SequenceProto or OptionalProto: which one, `type` decides. The element type is the file's own. Throws
// InvalidArgument for broken bytes, and for a sequence of anything but tensors.
RunValue parse_onnx_value(std::string_view bytes, const TensorType& type, const Limits& limits = {});

// The ops of a model's main graph in the order of its nodes, repeats included: "Add", "ai.onnx.ml.Scaler". Also of models that cannot be
// imported. Throws InvalidArgument for broken bytes.
std::vector<std::string> onnx_op_names(std::string_view model_bytes, const Limits& limits = {});

// The inputs that a model lists, in its order, those with a default (an initializer) included; of a map its keys and its
// values (value_type.h). Throws as above.
std::vector<std::string> onnx_input_names(std::string_view model_bytes, const Limits& limits = {});

}  // namespace tandem
