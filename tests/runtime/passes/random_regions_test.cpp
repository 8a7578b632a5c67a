// Random graphs of elementwise nodes over all types, broadcasts and sizes: regions must not change a bit.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/passes/run_both_ways.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;

// Names of ops by the types that they take.
constexpr std::string_view kFloatUnary[] = {"Abs",   "Neg",  "Exp",      "Log",       "Sqrt",     "Reciprocal", "Relu",      "Sigmoid", "Tanh", "Erf",
                                            "Softplus", "Floor", "Ceil", "Sign",     "Sin",       "Cos",      "Round",      "LeakyRelu", "Elu",
                                            "HardSigmoid", "Gelu", "Atan", "Softsign", "HardSwish", "Mish",   "Selu",       "Celu",    "ThresholdedRelu",
                                            "Shrink", "Cosh", "Asinh"};
constexpr std::string_view kFloatBinary[] = {"Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "PRelu", "Sum", "Mean"};
constexpr std::string_view kIntegerUnary[] = {"Abs", "Neg", "Sign", "BitwiseNot", "Relu"};
constexpr std::string_view kIntegerBinary[] = {"Add", "Sub", "Mul", "Div", "Min", "Max", "Mod", "BitwiseAnd", "BitwiseOr", "BitwiseXor"};
constexpr std::string_view kCompare[] = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"};
constexpr std::string_view kLogic[] = {"And", "Or", "Xor"};
constexpr DType kTypes[] = {DType::kF32, DType::kF32, DType::kF32, DType::kF64, DType::kF16, DType::kI64, DType::kI32, DType::kU8, DType::kBool};

class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : state_(seed * 2654435761u + 12345) {}
  Graph graph;
  std::vector<Tensor> inputs;
  int64_t bound = 64;

  void build() {
    choose_shape();
    for (int i = 0, n = 2 + below(5); i < n; ++i) add_input(i == 0);
    const int nodes = 1 + below(24);
    for (int i = 0; i < nodes; ++i) add_node();
    for (int i = 0, n = 1 + below(3); i < n; ++i) show(values_[values_.size() - 1 - static_cast<size_t>(below(static_cast<int>(values_.size())))]);
    show(values_.back());
  }

 private:
  int below(int n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int>((state_ >> 33) % static_cast<uint64_t>(n));
  }
  template <size_t N>
  auto any_of(const std::string_view (&names)[N]) {
    return names[below(N)];
  }
  DType type(ValueId id) const { return graph.value(id).type.dtype; }

  void choose_shape() {
    const std::vector<std::vector<int64_t>> shapes = {{},        {1},          {0},          {7},        {5, 1},   {3, 5},      {2, 3, 4},
                                                      {4099},    {2, 1, 3, 2}, {3, 5000},    {130, 67},  {2, 0, 3}, {1, 4096, 1}, {9, 8, 7, 6},
                                                      {2, 3, 4097}, {17, 1, 257}, {1, 1, 1}, {20011}};
    shape_ = shapes[static_cast<size_t>(below(static_cast<int>(shapes.size())))];
    symbolic_ = !shape_.empty() && below(3) == 0;
    if (symbolic_) bound = shape_[0] + below(3) * 50;
    bound = std::max<int64_t>(bound, 1);
  }

  // The shape itself, or one that broadcasts to it.
  void add_input(bool full) {
    size_t first = full || below(2) ? 0 : static_cast<size_t>(below(static_cast<int>(shape_.size()) + 1));
    Shape shape;
    Dims dims;
    const bool narrowed = !full && below(2);
    for (; first < shape_.size(); ++first) {
      const bool one = narrowed && below(2);
      shape.push_back(one ? 1 : shape_[first]);
      dims.push_back(!one && first == 0 && symbolic_ ? Dim("n") : Dim(shape[shape.rank() - 1]));
    }
    const DType dtype = full ? DType::kF32 : kTypes[below(std::size(kTypes))];
    Tensor tensor(dtype, shape);
    fill(tensor);
    values_.push_back(graph.add_input("x" + std::to_string(inputs.size()), dtype, dims));
    inputs.push_back(std::move(tensor));
  }

  void fill(Tensor& tensor) {
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      const double value = (below(2001) - 1000) / 250.0;
      const auto at = static_cast<size_t>(i);
      switch (tensor.dtype()) {
        case DType::kF32: tensor.as<float>()[at] = static_cast<float>(value); break;
        case DType::kF64: tensor.as<double>()[at] = value; break;
        case DType::kF16: tensor.as<F16>()[at] = to_f16(static_cast<float>(value)); break;
        case DType::kI64: tensor.as<int64_t>()[at] = below(41) - 20; break;
        case DType::kI32: tensor.as<int32_t>()[at] = below(41) - 20; break;
        case DType::kU8: tensor.as<uint8_t>()[at] = static_cast<uint8_t>(below(256)); break;
        default: tensor.as<bool>()[at] = below(2) == 1; break;
      }
    }
  }

  ValueId any() { return values_[static_cast<size_t>(below(static_cast<int>(values_.size())))]; }
  // A value of this type; one that is cast to it if a few tries find none.
  ValueId any(DType wanted) {
    for (int i = 0; i < 6; ++i)
      if (const ValueId id = any(); type(id) == wanted) return id;
    return cast(any(), wanted);
  }
  ValueId cast(ValueId id, DType to) {
    if (type(id) == to) return id;
    return add(graph, "Cast", {id}, {{"to", static_cast<int64_t>(to)}});
  }
  size_t rank(ValueId id) const { return graph.value(id).type.dims->size(); }

  void add_node() {
    const ValueId a = any();
    const DType t = type(a);
    switch (below(8)) {
      case 0: return keep(cast(a, kTypes[below(std::size(kTypes))]));
      case 1: return keep(add(graph, any_of(kCompare), {t == DType::kBool ? cast(a, DType::kF32) : a, any(t == DType::kBool ? DType::kF32 : t)}));
      case 2: return keep(add(graph, "Where", {any(DType::kBool), a, any(t)}));
      case 3:
        if (t != DType::kBool) return keep(add(graph, "Clip", {a, kNoValue, bound_of(t)}));
        break;
      default: break;
    }
    const bool binary = below(2);
    if (t == DType::kBool) return keep(binary ? add(graph, any_of(kLogic), {a, any(t)}) : add(graph, "Not", {a}));
    const bool is_float_type = is_float(t);
    if (!binary) return keep(add(graph, is_float_type ? any_of(kFloatUnary) : signed_unary(t), {a}));
    const ValueId b = any(t);
    const std::string_view op = is_float_type ? any_of(kFloatBinary) : any_of(kIntegerBinary);
    if (op == "PRelu" && graph.value(a).type.dims != graph.value(b).type.dims) return keep(add(graph, "Add", {a, b}));
    if (op == "Sum") return keep(add(graph, op, {a, b, any(t)}));
    keep(add(graph, op, {a, b}));
  }
  std::string_view signed_unary(DType t) { return t == DType::kU8 ? "BitwiseNot" : any_of(kIntegerUnary); }
  ValueId bound_of(DType t) {
    Tensor tensor(t, {});
    fill(tensor);
    return graph.add_constant("bound", std::move(tensor));
  }
  void keep(ValueId id) { values_.push_back(id); }
  void show(ValueId id) {
    const bool is_result = graph.value(id).kind == ValueKind::kResult;
    if (is_result && std::ranges::find(graph.outputs, id) == graph.outputs.end()) graph.outputs.push_back(id);
  }

  uint64_t state_;
  std::vector<int64_t> shape_;
  bool symbolic_ = false;
  std::vector<ValueId> values_;
};

TEST(RandomRegions, KeepEveryBit) {
  int regions = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomGraph random(seed);
    random.build();
    if (random.graph.outputs.empty()) continue;
    testing::expect_same_bits(random.graph, random.inputs, random.bound);
    regions += run_pass(random.graph, elementwise_regions_pass, true).changes;
    if (::testing::Test::HasFailure()) FAIL() << to_text(random.graph);
  }
  EXPECT_GT(regions, 300);
}

}  // namespace
}  // namespace tandem
