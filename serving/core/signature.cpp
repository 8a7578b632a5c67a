#include "serving/core/signature.h"

#include <algorithm>

namespace tandem {
namespace {

std::vector<TensorSpec> specs_of(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<TensorSpec> specs;
  for (ValueId id : ids) {
    const Value& value = graph.value(id);
    specs.push_back({value.name, value.type.dtype, value.type.dims.value_or(Dims{Dim()})});
  }
  return specs;
}

}  // namespace

Signature signature_of(const Graph& graph) {
  Signature signature{specs_of(graph, graph.inputs), specs_of(graph, graph.outputs), false, ""};
  const auto& inputs = signature.inputs;
  if (inputs.empty() || inputs[0].dims.empty() || inputs[0].dims[0].symbol.empty()) return signature;
  const Dim& batch = inputs[0].dims[0];
  const auto leads = [&](const TensorSpec& spec) { return !spec.dims.empty() && spec.dims[0] == batch; };
  const auto may_lead = [&](const TensorSpec& spec) { return leads(spec) || (!spec.dims.empty() && spec.dims[0] == Dim()); };
  signature.batched = std::all_of(inputs.begin(), inputs.end(), leads) &&
                      std::all_of(signature.outputs.begin(), signature.outputs.end(), may_lead);
  if (signature.batched) signature.batch_symbol = batch.symbol;
  return signature;
}

std::vector<Tensor> example_inputs(const Signature& signature, int64_t rows) {
  std::vector<Tensor> inputs;
  for (const TensorSpec& spec : signature.inputs) {
    std::vector<int64_t> sizes;
    for (const Dim& dim : spec.dims) sizes.push_back(dim.known() ? dim.size : rows);
    inputs.emplace_back(spec.dtype, Shape(sizes));
  }
  return inputs;
}

std::optional<std::string> open_dimension(const Signature& signature) {
  for (const TensorSpec& spec : signature.inputs)
    for (const Dim& dim : spec.dims)
      if (!dim.known() && (dim.symbol.empty() || dim.symbol != signature.batch_symbol)) return dim.symbol.empty() ? "?" : dim.symbol;
  return std::nullopt;
}

}  // namespace tandem
