// ValueInfoProto -> TensorType.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem_onnx_proto {
class ValueInfoProto;
}

namespace tandem {

// Of a tensor, a sequence of tensors, or one of these that may be absent. Throws InvalidArgument naming the value for any other type, an
// element type that is not stored, too many dimensions or a negative one.
TensorType read_value_type(const tandem_onnx_proto::ValueInfoProto& info);

}  // namespace tandem
