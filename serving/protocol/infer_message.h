// Inference requests of gRPC: protobuf messages to tensors.
//
// Numbers that come raw are not copied: tensors lie in the message and keep it alive.
#pragma once

#include <memory>

#include "runtime/graph/limits.h"
#include "serving/engine/shared_memory.h"
#include "serving/protocol/infer_request.h"

namespace inference {
class ModelInferRequest;
}

namespace tandem {

// Typed contents, raw ones, or regions of `memory` (null: these are refused). Throws InvalidArgument naming the field, as
// parse_infer_request does.
InferRequest read_infer_message(const std::shared_ptr<inference::ModelInferRequest>& message, const Limits& limits,
                                const SharedMemory* memory = nullptr);

}  // namespace tandem
