// An inference response of the Open Inference Protocol v2, from tensors to bytes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/base/tensor_view.h"
#include "serving/engine/inference_call.h"
#include "serving/engine/shared_memory.h"

namespace tandem {

// The binary form of a tensor: little-endian, row-major; strings as a 32-bit length and the bytes each.
size_t binary_bytes(ConstTensorView view);
void append_binary(std::string& out, ConstTensorView view);

class JsonWriter;

struct AnswerTensor {
  std::string_view name;
  ConstTensorView view;
  bool binary = false;
  int64_t classes = 0;                     // > 0: the k best as "value:index", datatype BYTES
  bool batched = false;                    // for classes: whether the first dimension counts rows
  std::optional<RegionRange> region = {};  // its bytes go there, and nothing of them into the body
};

// How a request was run, for the parameters of its answer.
struct Explanation {
  int64_t queue_us = 0;    // from the whole request read to the begin of its batch
  int64_t batch_size = 0;  // rows of the batch
  int64_t position = 0;    // of the request's first row in it
  int64_t lane = 0;
  int64_t lanes = 1;       // that ran the batch together, from `lane` on
};
Explanation explain(const RunRecord& run, Clock::TimePoint arrived);

// The elements one after the other, without brackets. Throws InvalidArgument for a text that is no UTF-8.
void write_json_elements(JsonWriter& json, const AnswerTensor& output);

struct InferResponse {
  std::string body;                  // JSON, then the binary tensors
  std::optional<size_t> json_bytes;  // set if there are binary tensors: Inference-Header-Content-Length
};

// Data of JSON outputs is flat. Throws InvalidArgument for a text that is no UTF-8 in a JSON output,
// and for a classification of something else than numbers.
InferResponse write_infer_response(std::string_view model, int64_t version, const std::optional<std::string>& id,
                                   std::span<const AnswerTensor> outputs, const SharedMemory* memory = nullptr,
                                   const std::optional<Explanation>& explanation = {});

// The bytes of a tensor as the binary extension has them, to where the client wants them. Throws InvalidArgument if they do not
// fit, and what SharedMemory::write throws.
void write_to_region(const AnswerTensor& output, const SharedMemory& memory);

}  // namespace tandem
