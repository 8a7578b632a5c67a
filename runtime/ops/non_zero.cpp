// NonZero (ONNX 9) and Compress (9): how much comes out is in the data.
#include <algorithm>

#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

constexpr std::string_view kAxis[] = {"axis"};

void infer_non_zero(InferenceContext& node) {
  node.set_output(0, DType::kI64, Dims{node.has_rank(0) ? Dim(int64_t{node.rank(0)}) : Dim(), Dim()});
}

// The positions in row-major order of what is not zero (or not the empty text).
std::vector<int64_t> positions_of(const Tensor& x) {
  std::vector<int64_t> positions;
  const auto collect = [&](const auto& elements, auto counts) {
    for (size_t i = 0; i < elements.size(); ++i)
      if (counts(elements[i])) positions.push_back(static_cast<int64_t>(i));
  };
  if (x.dtype() == DType::kString)
    collect(x.as<std::string_view>(), [](std::string_view text) { return !text.empty(); });
  else if (x.dtype() == DType::kF32)
    collect(x.as<float>(), [](float v) { return v != 0; });
  else if (x.dtype() == DType::kF64)
    collect(x.as<double>(), [](double v) { return v != 0; });
  else if (is_float(x.dtype()))  // 16 bits: all but the sign
    collect(x.view().raw<uint16_t>(), [](uint16_t bits) { return (bits & 0x7FFF) != 0; });
  else
    visit_size(x.dtype(), [&]<class T>() {
      if constexpr (std::is_integral_v<T>) collect(x.view().raw<T>(), [](T v) { return v != 0; });
    });
  return positions;
}

void evaluate_non_zero(EvaluateContext& node) {
  const Tensor& x = node.tensor(0);
  const std::vector<int64_t> positions = positions_of(x);
  const auto count = static_cast<int64_t>(positions.size());
  Tensor y(DType::kI64, {int64_t{x.shape().rank()}, count});
  int64_t* row = y.as<int64_t>().data() + y.elements() - count;
  int64_t stride = 1;
  for (int axis = x.shape().rank() - 1; axis >= 0; --axis, row -= count) {
    for (int64_t i = 0; i < count; ++i) row[i] = positions[static_cast<size_t>(i)] / stride % x.shape()[axis];
    stride *= x.shape()[axis];
  }
  node.set_output(0, std::move(y));
}

void infer_compress(InferenceContext& node) {
  node.require_dtype(1, DType::kBool);
  node.require(!node.has_rank(1) || node.rank(1) == 1, "condition must be a list");
  std::optional<Dims> dims;
  if (!node.has_attribute("axis")) {
    dims = Dims{Dim()};
  } else if (node.has_rank(0)) {
    dims = node.dims(0);
    (*dims)[static_cast<size_t>(node.normalized_axis(node.get_int("axis", 0), node.rank(0)))] = Dim();
  }
  node.set_output(0, node.dtype(0), std::move(dims));
}

void evaluate_compress(EvaluateContext& node) {
  const Tensor& whole = node.tensor(0);
  const bool flat = !node.has_attribute("axis");
  const Tensor x = flat ? whole.reshaped({whole.elements()}) : whole;
  const int axis = flat ? 0 : node.normalized_axis(node.get_int("axis", 0), x.shape().rank());
  const AxisView view(x.shape(), axis);
  const auto condition = node.tensor(1).as<bool>();
  node.require(static_cast<int64_t>(condition.size()) <= view.length, "the condition is longer than the axis (condition, axis)",
               condition.size(), view.length);
  std::vector<int64_t> kept;
  for (size_t i = 0; i < condition.size(); ++i)
    if (condition[i]) kept.push_back(static_cast<int64_t>(i));
  Shape shape = x.shape();
  shape.set(axis, static_cast<int64_t>(kept.size()));
  Tensor y(x.dtype(), shape);
  visit_size(x.dtype(), [&]<class T>() {
    const T* in = x.view().raw<T>().data();
    T* out = y.view().raw<T>().data();
    for (int64_t o = 0; o < view.outer; ++o)
      for (int64_t i : kept) out = std::copy_n(in + (o * view.length + i) * view.inner, view.inner, out);
  });
  node.set_output(0, y.dtype() == DType::kString ? y.clone() : std::move(y));
}

constexpr OpDef non_zero_op = {.name = "NonZero", .since = 9, .infer = infer_non_zero, .evaluate = evaluate_non_zero};
constexpr OpDef compress_op = {.name = "Compress",
                               .since = 9,
                               .min_inputs = 2,
                               .max_inputs = 2,
                               .attributes = kAxis,
                               .infer = infer_compress,
                               .evaluate = evaluate_compress};

constexpr const OpDef* kOps[] = {&non_zero_op, &compress_op};

}  // namespace

extern const OpFamily non_zero_ops;
constinit const OpFamily non_zero_ops = kOps;

}  // namespace tandem
