#include "runtime/graph/constant_integers.h"

namespace tandem {
namespace {

template <class T>
std::vector<int64_t> widened(std::span<const T> elements) {
  return {elements.begin(), elements.end()};
}

}  // namespace

std::optional<std::vector<int64_t>> constant_integers(const Graph& graph, ValueId id) {
  if (id == kNoValue || graph.value(id).kind != ValueKind::kConstant || !graph.value(id).data) return std::nullopt;
  const Tensor& data = graph.value(id).data;
  if (data.dtype() == DType::kI64) return widened(data.as<int64_t>());
  if (data.dtype() == DType::kI32) return widened(data.as<int32_t>());
  return std::nullopt;
}

}  // namespace tandem
