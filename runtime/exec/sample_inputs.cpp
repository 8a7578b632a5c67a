#include "runtime/exec/sample_inputs.h"

#include <algorithm>
#include <type_traits>

#include "kernels/base/dtype_families.h"
#include "kernels/base/half.h"
#include "kernels/base/philox.h"

namespace tandem {
namespace {

constexpr uint64_t kKey = 0x74616e64656d;

float sample(size_t input, size_t element) { return unit_float(philox(kKey, element, input)[0]); }

void fill(Tensor& tensor, size_t input) {
  const DType dtype = tensor.dtype();
  const auto each = [&]<class T>(auto&& make) {
    const auto elements = tensor.as<T>();
    for (size_t i = 0; i < elements.size(); ++i) elements[i] = make(i);
  };
  switch (dtype) {
    case DType::kString: return;
    case DType::kF32: return each.operator()<float>([&](size_t i) { return sample(input, i); });
    case DType::kF64: return each.operator()<double>([&](size_t i) { return static_cast<double>(sample(input, i)); });
    case DType::kF16: return each.operator()<F16>([&](size_t i) { return to_f16(sample(input, i)); });
    case DType::kBF16: return each.operator()<BF16>([&](size_t i) { return to_bf16(sample(input, i)); });
    default: visit_convertible(dtype, [&]<class T>() {
      if constexpr (std::is_arithmetic_v<T>) std::ranges::fill(tensor.as<T>(), T(1));
    });
  }
}

}  // namespace

std::map<std::string, Tensor, std::less<>> sample_inputs(const Graph& graph, const std::map<std::string, int64_t, std::less<>>& sizes) {
  std::map<std::string, Tensor, std::less<>> feed;
  std::string missing;
  for (size_t n = 0; n < graph.inputs.size(); ++n) {
    const Value& input = graph.value(graph.inputs[n]);
    require(input.type.container == Container::kTensor && input.type.dims, "no input can be made up that is no tensor, or of unknown rank",
            input.name);
    Shape shape;
    for (size_t axis = 0; axis < input.type.dims->size(); ++axis) {
      const Dim& dim = (*input.type.dims)[axis];
      const std::string symbol = dim.symbol.empty() ? input.name + "." + std::to_string(axis) : dim.symbol;
      const auto size = dim.known() ? sizes.end() : sizes.find(symbol);
      if (!dim.known() && size == sizes.end()) missing += (missing.empty() ? "" : ", ") + symbol;
      shape.push_back(dim.known() ? dim.size : size == sizes.end() ? 1 : size->second);
    }
    if (!missing.empty()) continue;
    Tensor tensor(input.type.dtype, shape);
    fill(tensor, n);
    feed.emplace(input.name, std::move(tensor));
  }
  require(missing.empty(), "open dimensions of the inputs need sizes", missing);
  return feed;
}

}  // namespace tandem
