// Weights on their way into a file beside the model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/tensor.h"

namespace tandem_onnx_proto {
class TensorProto;
}

namespace tandem {

class ExternalWeights {
 public:
  // `location`: the name of the file, as the model is to say it.
  explicit ExternalWeights(std::string location) : location_(std::move(location)) {}

  // Gives the tensor a place in the file and writes that into `proto`. False for what stays in the model: text, elements below a byte, less than a page.
  bool take(const Tensor& tensor, std::string_view name, tandem_onnx_proto::TensorProto& proto);

  // What the file consists of; views of the tensors and of zeros between them.
  std::vector<std::string_view> pieces() const;

 private:
  struct Placed {
    Tensor tensor;
    int64_t offset;
  };
  std::string location_;
  std::vector<Placed> placed_;
  int64_t end_ = 0;
};

}  // namespace tandem
