// FlexAttention (ai.onnx.preview 1): attention whose scores and probabilities pass through bodies of the model.
//
//   Y = prob_mod(softmax(score_mod(scale * Q K^T))) V
//
// The bodies see whole tensors, so these are made. All is computed in softmax_precision (f32 for the 16-bit floats), which the
// bodies see too.
#include <cmath>

#include "kernels/api/elementwise.h"
#include "kernels/api/gemm.h"
#include "kernels/api/softmax.h"
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/body.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"prob_mod", "scale", "score_mod", "softmax_precision"};

enum Input { kQ, kK, kV, kOwnInputs };

bool has_body(const NodeContext& node, std::string_view name) { return node.has_attribute(name); }

// What the bodies see.
DType precision_of(const NodeContext& node, DType input) {
  if (!node.has_attribute("softmax_precision")) return input == DType::kF64 ? DType::kF64 : DType::kF32;
  const auto type = static_cast<DType>(node.get_int("softmax_precision", 0));
  node.require(is_float(type), "softmax_precision must be a float type", name(type));
  return type;
}

void infer(InferenceContext& node) {
  require_float(node, kQ);
  node.require_same_dtype(kQ, kK);
  node.require_same_dtype(kQ, kV);
  precision_of(node, node.dtype(kQ));
  int captured = 0;
  for (const std::string_view name : {"prob_mod", "score_mod"}) {
    if (!has_body(node, name)) continue;
    const Graph& body = body_of(node, name);
    node.require(formal_inputs(body) == 1 && body.outputs.size() == 1, "a body takes one tensor and makes one (body)", name);
    captured += body.captured_inputs;
  }
  node.require(node.inputs() == kOwnInputs + captured, "wrong number of inputs (has)", node.inputs());
  if (!node.has_rank(kQ) || !node.has_rank(kV)) return node.set_output(0, node.dtype(kQ), std::nullopt);
  const Dims &q = node.dims(kQ), &v = node.dims(kV);
  node.require(q.size() == 4 && v.size() == 4, "Q, K and V must have rank 4", to_string(q), to_string(v));
  node.set_output(0, node.dtype(kQ), Dims{q[0], q[1], q[2], v[3]});
}

Tensor converted(const KernelContext& context, const Tensor& x, DType to) {
  if (x.dtype() == to) return x;
  Tensor y(to, x.shape());
  cpu::cast(context, x.view(), y.view());
  return y;
}

// x through a body, in the type that the body sees.
Tensor modified(EvaluateContext& node, const KernelContext& context, std::string_view name, const Tensor& x, DType seen,
                std::span<const RunValue> captured) {
  std::vector<RunValue> inputs = {RunValue::of(converted(context, x, seen))};
  inputs.insert(inputs.end(), captured.begin(), captured.end());
  const std::vector<RunValue> outputs = node.run(name, inputs);
  const Tensor& y = outputs[0].tensor;
  node.require(y && y.shape() == x.shape(), "a body must keep the shape (body)", name);
  return converted(context, y, x.dtype());
}

Tensor product(KernelContext context, const Tensor& a, const Tensor& b, bool transpose_b, double alpha, const Shape& shape) {
  Tensor workspace(
      DType::kU8,
      {static_cast<int64_t>(cpu::matmul_workspace_bytes(a.dtype(), a.shape(), b.shape(), false, transpose_b, context.threads))});
  context.workspace = {workspace.view().data, workspace.bytes()};
  Tensor y(a.dtype(), shape);
  cpu::matmul(context, a.view(), b.view(), y.view(), {.transpose_b = transpose_b, .alpha = static_cast<float>(alpha)});
  return y;
}

void evaluate(EvaluateContext& node) {
  const Shape q = node.tensor(kQ).shape(), k = node.tensor(kK).shape(), v = node.tensor(kV).shape();
  node.require(q.rank() == 4 && k.rank() == 4 && v.rank() == 4 && q[0] == k[0] && k[0] == v[0] && k[1] == v[1] && k[1] > 0 &&
                   q[1] % k[1] == 0 && k[2] == v[2] && q[3] == k[3],
               "Q, K and V do not fit each other", to_string(q), to_string(k), to_string(v));
  const DType given = node.tensor(kQ).dtype(), seen = precision_of(node, given);
  const DType wide = given == DType::kF64 || seen == DType::kF64 ? DType::kF64 : DType::kF32;
  const KernelContext context{.threads = node.threads()};
  const double scale =
      node.has_attribute("scale") ? static_cast<double>(node.get_float("scale", 1)) : 1 / std::sqrt(static_cast<double>(q[3]));
  // The query heads that share a key head are rows of one product.
  const int64_t rows = q[1] / k[1] * q[2];
  const auto input = [&](int i) { return converted(context, node.tensor(i), wide); };
  Tensor scores = product(context, input(kQ).reshaped({q[0], k[1], rows, q[3]}), input(kK), true, scale, {q[0], k[1], rows, k[2]})
                      .reshaped({q[0], q[1], q[2], k[2]});
  const auto captured = node.inputs_from(kOwnInputs);
  const auto of_prob = has_body(node, "prob_mod") ? static_cast<size_t>(body_of(node, "prob_mod").captured_inputs) : 0;
  if (has_body(node, "score_mod")) scores = modified(node, context, "score_mod", scores, seen, captured.subspan(of_prob));
  Tensor probabilities(wide, scores.shape());
  cpu::softmax(context, std::as_const(scores).view(), probabilities.view(), AxisView(scores.shape(), 3));
  if (has_body(node, "prob_mod"))
    probabilities = modified(node, context, "prob_mod", probabilities, seen, captured.first(of_prob));
  const Tensor y =
      product(context, probabilities.reshaped({q[0], k[1], rows, k[2]}), input(kV), false, 1, {q[0], k[1], rows, v[3]});
  node.set_output(0, converted(context, y.reshaped({q[0], q[1], q[2], v[3]}), given));
}

constexpr OpDef flex_attention_op = {.name = "FlexAttention",
                                     .domain = "ai.onnx.preview",
                                     .min_inputs = kOwnInputs,
                                     .max_inputs = kVariadic,
                                     .attributes = kAttributes,
                                     .infer = infer,
                                     .evaluate = evaluate};

constexpr const OpDef* kOps[] = {&flex_attention_op};

}  // namespace

extern const OpFamily flex_attention_ops;
constinit const OpFamily flex_attention_ops = kOps;

}  // namespace tandem
