#include "serving/protocol/match.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "serving/protocol/datatype.h"

namespace tandem {
namespace {

std::string shape_text(const Dims& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? "," : "") + std::to_string(dims[i].known() ? dims[i].size : -1);
  return text + "]";
}
std::string shape_text(const Shape& shape) { return shape_text(to_dims(shape)); }

// The rank without trailing dimensions of 1; the first dimension stays.
template <class IsOne>
size_t essential_rank(size_t rank, IsOne&& is_one) {
  while (rank > 1 && is_one(rank - 1)) --rank;
  return rank;
}

bool fits(const Dims& expected, const Shape& got, size_t rank) {
  for (size_t i = 0; i < rank; ++i)
    if (expected[i].known() && expected[i].size != got[static_cast<int>(i)]) return false;
  return true;
}

// The request's shape brought to the model's rank, or nothing if they do not agree.
std::optional<Shape> agreed_shape(const Dims& expected, const Shape& got) {
  const auto rank = static_cast<size_t>(got.rank());
  if (rank == expected.size()) return fits(expected, got, rank) ? std::optional(got) : std::nullopt;
  const size_t wanted = essential_rank(expected.size(), [&](size_t i) { return expected[i] == Dim(1); });
  const size_t given = essential_rank(rank, [&](size_t i) { return got[static_cast<int>(i)] == 1; });
  if (wanted != given || !fits(expected, got, wanted)) return std::nullopt;
  Shape shape(got.dims().subspan(0, wanted));
  while (static_cast<size_t>(shape.rank()) < expected.size()) shape.push_back(1);
  return shape;
}

Tensor match_input(const InferInput& input, std::string_view model, const TensorSpec& spec) {
  if (input.tensor.dtype() != spec.dtype)
    fail(ErrorCode::kInvalidArgument, "inference input " + quoted_name(input.name) + " data-type is '" +
                                          std::string(wire_name(input.tensor.dtype())) + "', but model " + quoted_name(model) +
                                          " expects '" + std::string(wire_name(spec.dtype)) + "'");
  const std::optional<Shape> shape = agreed_shape(spec.dims, input.tensor.shape());
  if (!shape)
    fail(ErrorCode::kInvalidArgument, "unexpected shape for input " + quoted_name(input.name) + " for model " +
                                          quoted_name(model) + ". Expected " + shape_text(spec.dims) + ", got " +
                                          shape_text(input.tensor.shape()));
  return *shape == input.tensor.shape() ? input.tensor : input.tensor.reshaped(*shape);
}

// One symbol, one size: a batch of 3 in one input and of 2 in another is refused here, where the names are known.
void check_symbols(const std::vector<Tensor>& tensors, std::string_view model, const Signature& signature) {
  std::map<std::string_view, std::pair<int64_t, size_t>> sizes;  // symbol -> size, and the input that said so first
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Dims& dims = signature.inputs[i].dims;
    for (size_t axis = 0; axis < dims.size(); ++axis) {
      if (dims[axis].symbol.empty()) continue;
      const int64_t size = tensors[i].shape()[static_cast<int>(axis)];
      const auto [known, fresh] = sizes.try_emplace(dims[axis].symbol, size, i);
      if (!fresh && known->second.first != size)
        fail(ErrorCode::kInvalidArgument, "unexpected shape for input " + quoted_name(signature.inputs[i].name) + " for model " +
                                              quoted_name(model) + ": dimension " + std::to_string(axis) + " is " +
                                              std::to_string(size) + ", but input " +
                                              quoted_name(signature.inputs[known->second.second].name) + " has " +
                                              std::to_string(known->second.first) + " there");
    }
  }
}

[[noreturn]] void reject_missing(const InferRequest& request, std::string_view model, const Signature& signature) {
  std::string missing;
  for (const TensorSpec& spec : signature.inputs)
    if (std::ranges::none_of(request.inputs, [&](const InferInput& input) { return input.name == spec.name; }))
      missing += (missing.empty() ? "'" : ",'") + spec.name + "'";
  fail(ErrorCode::kInvalidArgument, "expected " + std::to_string(signature.inputs.size()) + " inputs but got " +
                                        std::to_string(request.inputs.size()) + " inputs for model " + quoted_name(model) +
                                        ", but missing required input(s) [" + missing + "]");
}

}  // namespace

std::vector<Tensor> match_inputs(const InferRequest& request, std::string_view model, const Signature& signature) {
  std::vector<Tensor> tensors(signature.inputs.size());
  for (const InferInput& input : request.inputs) {
    const auto spec = std::ranges::find(signature.inputs, input.name, &TensorSpec::name);
    if (spec == signature.inputs.end())
      fail(ErrorCode::kInvalidArgument,
           "unexpected inference input " + quoted_name(input.name) + " for model " + quoted_name(model));
    tensors[static_cast<size_t>(spec - signature.inputs.begin())] = match_input(input, model, *spec);
  }
  if (request.inputs.size() != signature.inputs.size()) reject_missing(request, model, signature);
  check_symbols(tensors, model, signature);
  return tensors;
}

std::vector<OutputChoice> match_outputs(const InferRequest& request, std::string_view model, const Signature& signature) {
  std::vector<OutputChoice> choices;
  for (const InferOutput& output : request.outputs) {
    const auto spec = std::ranges::find(signature.outputs, output.name, &TensorSpec::name);
    if (spec == signature.outputs.end())
      fail(ErrorCode::kInvalidArgument,
           "unexpected inference output " + quoted_name(output.name) + " for model " + quoted_name(model));
    choices.push_back({static_cast<size_t>(spec - signature.outputs.begin()), output.binary.value_or(request.binary_output),
                       output.classes, output.region});
  }
  if (choices.empty())
    for (size_t i = 0; i < signature.outputs.size(); ++i) choices.push_back({i, request.binary_output, 0, {}});
  return choices;
}

}  // namespace tandem
