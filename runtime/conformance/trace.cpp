#include "runtime/conformance/trace.h"

#include "kernels/base/dtype_families.h"
#include "kernels/base/error.h"
#include "runtime/exec/executor.h"
#include "runtime/graph/op_def.h"
#include "runtime/plan/shapes.h"

namespace tandem {
namespace {

constexpr int64_t kOpenSize = 2;
constexpr std::string_view kTexts[] = {"a", "b c", "tandem", ""};

// SplitMix64 (Steele, Lea, Flood 2014).
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  double between_minus_one_and_one() { return static_cast<double>(next() >> 11) * 0x1p-52 - 1; }

 private:
  uint64_t state_;
};

uint64_t seed_of(std::string_view name, uint64_t seed) {
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3u;  // FNV-1a
  return seed;
}

Shape shape_of(const Value& input, const Sizes& sizes) {
  require(input.type.dims.has_value(), "an input of unknown rank must be given (input)", input.name);
  Shape shape;
  for (const Dim& dim : *input.type.dims) {
    const auto size = sizes.find(dim.symbol);
    shape.push_back(dim.known() ? dim.size : size != sizes.end() ? size->second : kOpenSize);
  }
  return shape;
}

Tensor random_texts(const Shape& shape, Numbers& numbers) {
  std::vector<std::string_view> texts;
  for (int64_t i = 0; i < shape.elements(); ++i) texts.push_back(kTexts[numbers.next() % std::size(kTexts)]);
  return Tensor::strings(shape, std::span<const std::string_view>(texts));
}

Tensor random_tensor(const Value& input, const Sizes& sizes, Numbers numbers) {
  const DType type = input.type.dtype;
  const Shape shape = shape_of(input, sizes);
  if (type == DType::kString) return random_texts(shape, numbers);
  Tensor tensor(type, shape);
  if (type == DType::kBool) {
    for (bool& element : tensor.as<bool>()) element = numbers.next() % 2;
  } else if (type == DType::kF16) {
    for (F16& element : tensor.as<F16>()) element = to_f16(static_cast<float>(numbers.between_minus_one_and_one()));
  } else if (type == DType::kBF16) {
    for (BF16& element : tensor.as<BF16>()) element = to_bf16(static_cast<float>(numbers.between_minus_one_and_one()));
  } else {
    require(!is_narrow(type), "an input of this type must be given (input, type)", input.name, name(type));
    visit_number(type, [&]<class T>() {
      for (T& element : tensor.as<T>())
        element =
            std::is_integral_v<T> ? static_cast<T>(numbers.next() % 2) : static_cast<T>(numbers.between_minus_one_and_one());
    });
  }
  return tensor;
}

}  // namespace

std::vector<TracedValue> trace(Graph graph, const std::vector<RunValue>& inputs, int threads) {
  std::vector<TracedValue> traced;
  graph.outputs.clear();
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      graph.outputs.push_back(id);
      traced.push_back({graph.value(id).name, node.name, std::string(node.def->name), {}});
    }
  }
  std::vector<Shape> shapes;
  for (const RunValue& input : inputs) shapes.push_back(input.tensor ? input.tensor.shape() : Shape{});
  const auto bounds = bounds_of(graph, shapes);
  Executor executor(make_plan(graph, {.threads = threads, .bounds = bounds}));
  std::vector<RunValue> values = executor.run_values(inputs);
  for (size_t i = 0; i < values.size(); ++i) traced[i].value = std::move(values[i]);
  return traced;
}

std::vector<RunValue> random_inputs(const Graph& graph, uint64_t seed, const Sizes& sizes) {
  std::vector<RunValue> inputs;
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    require(input.type.container == Container::kTensor, "a sequence or an optional value must be given (input)", input.name);
    inputs.push_back(RunValue::of(random_tensor(input, sizes, Numbers(seed_of(input.name, seed)))));
  }
  return inputs;
}

}  // namespace tandem
