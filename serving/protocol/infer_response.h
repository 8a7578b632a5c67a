// An inference response of the Open Inference Protocol v2, from tensors to bytes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/base/tensor_view.h"

namespace tandem {

struct AnswerTensor {
  std::string_view name;
  ConstTensorView view;
  bool binary = false;
  int64_t classes = 0;   // > 0: the k best as "value:index", datatype BYTES
  bool batched = false;  // for classes: whether the first dimension counts rows
};

struct InferResponse {
  std::string body;                  // JSON, then the binary tensors
  std::optional<size_t> json_bytes;  // set if there are binary tensors: Inference-Header-Content-Length
};

// Data of JSON outputs is flat. Throws InvalidArgument for a text that is no UTF-8 in a JSON output,
// and for a classification of something else than numbers.
InferResponse write_infer_response(std::string_view model, int64_t version, const std::optional<std::string>& id,
                                   std::span<const AnswerTensor> outputs);

}  // namespace tandem
