#include "serving/protocol/raw_request.h"

#include <optional>

#include "kernels/base/checked.h"
#include "serving/protocol/tensor_json.h"

namespace tandem {
namespace {

// The sizes of the input that `bytes` are; `refuse` tells why not.
template <class Refuse>
Shape shape_for(const TensorSpec& input, bool batched, int64_t bytes, Refuse&& refuse) {
  Shape shape;
  std::optional<int> open;
  int64_t fixed = static_cast<int64_t>(size_of(input.dtype));
  for (size_t axis = 0; axis < input.dims.size(); ++axis) {
    const Dim& dim = input.dims[axis];
    const bool is_batch = batched && axis == 0;
    if (!is_batch && !dim.known() && open) refuse("its input has more than one dimension of any size");
    if (!is_batch && !dim.known()) open = static_cast<int>(axis);
    shape.push_back(is_batch || !dim.known() ? 1 : dim.size);
    fixed = checked_mul(fixed, shape[static_cast<int>(axis)], "bytes of a tensor");
  }
  if (open && fixed > 0 && bytes % fixed == 0) shape.set(*open, bytes / fixed);
  return shape;
}

}  // namespace

InferRequest parse_raw_request(std::string_view body, std::string_view model, const Signature& signature, const std::shared_ptr<std::byte[]>& owner) {
  const auto refuse = [&](std::string_view why) {
    fail(ErrorCode::kInvalidArgument, "model " + quoted_name(model) + " takes no raw binary request: " + std::string(why));
  };
  if (signature.inputs.size() != 1) refuse("it has more inputs than one");
  const TensorSpec& input = signature.inputs[0];
  InferRequest request;
  request.binary_output = true;
  if (input.dtype == DType::kString) {
    Shape shape;
    for (const Dim& dim : input.dims) {
      if (dim.known() && dim.size != 1) refuse("its text input has more elements than one");
      shape.push_back(1);
    }
    const std::string_view texts[] = {body};
    request.inputs.push_back({input.name, Tensor::strings(shape, texts)});
  } else {
    const Shape shape = shape_for(input, signature.batched, static_cast<int64_t>(body.size()), refuse);
    request.inputs.push_back({input.name, tensor_of_binary(body, input.dtype, shape, input.name, owner)});
  }
  return request;
}

}  // namespace tandem
