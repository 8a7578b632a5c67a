// An inference request of the Open Inference Protocol v2, from bytes to tensors. Knows no transport and no model.
//
// The body is JSON, followed by the binary tensors of the inputs that announce a "binary_data_size" (the binary tensor data
// extension). Nothing is allocated by a size that the request merely claims, and nothing recurses on its depth.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/limits.h"
#include "runtime/graph/tensor.h"
#include "serving/engine/shared_memory.h"

namespace tandem {

struct InferInput {
  std::string name;
  Tensor tensor;
};

struct InferOutput {
  std::string name;
  std::optional<bool> binary;              // parameters.binary_data
  int64_t classes = 0;                     // parameters.classification: the k best instead of the tensor; 0: the tensor
  std::optional<RegionRange> region = {};  // parameters.shared_memory_*: where the bytes go instead
};

struct InferRequest {
  std::optional<std::string> id;
  std::vector<InferInput> inputs;
  std::vector<InferOutput> outputs;  // empty: all of the model's
  bool binary_output = false;        // parameters.binary_data_output: for outputs that do not say themselves
  std::optional<std::chrono::microseconds> timeout;
  int64_t priority = 0;  // 1 is the most urgent; 0: the model's default
  bool explain = false;  // parameters.explain: tell how it was run
};

// `json_bytes`: the value of Inference-Header-Content-Length; absent, the whole body is JSON. Integers out of their type's range,
// wrong counts, unknown types and the rest throw InvalidArgument naming the field. `memory`: where inputs in shared memory are
// read from; null: they are refused. `owner`: what keeps the body; binary tensors that are aligned lie in it, and are copied where it is null.
InferRequest parse_infer_request(std::string_view body, std::optional<std::string_view> json_bytes, const Limits& limits,
                                 const SharedMemory* memory = nullptr, const std::shared_ptr<std::byte[]>& owner = nullptr);

// A name that came from a client, for a message: in quotes, cut at 128 bytes.
std::string quoted_name(std::string_view name);

}  // namespace tandem
