// Attention (ONNX 23, 24, 25) and tandem.AttentionGrad(dy, q, k, v, mask?, past_key?, past_value?, valid?) -> dq, dk, dv,
// dscores?.
//
// Versions add an input (24: nonpad_kv_seqlen) and windows (25); where they agree they mean the same: scores are capped before
// they are masked, causal is aligned with the last key. Softmax is computed in the type of Q, 16-bit floats as f32, so
// softmax_precision asks for no more than that.
#include "kernels/api/attention.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes23[] = {"is_causal", "kv_num_heads", "q_num_heads",      "qk_matmul_output_mode",
                                              "scale",     "softcap",      "softmax_precision"};
constexpr std::string_view kAttributes[] = {
    "is_causal", "kv_num_heads",      "q_num_heads",      "qk_matmul_output_mode", "scale",
    "softcap",   "softmax_precision", "left_window_size", "right_window_size"};

enum Input { kQ, kK, kV, kMask, kPastKey, kPastValue, kValid, kInputs };

AttentionOptions options_of(const NodeContext& node) {
  AttentionOptions options;
  options.query_heads = node.get_int("q_num_heads", 0);
  options.key_heads = node.get_int("kv_num_heads", 0);
  options.scale = static_cast<double>(node.get_float("scale", 0));
  options.softcap = static_cast<double>(node.get_float("softcap", 0));
  options.causal = node.get_int("is_causal", 0) != 0;
  options.left_window = node.get_int("left_window_size", -1);
  options.right_window = node.get_int("right_window_size", -1);
  const int64_t mode = node.get_int("qk_matmul_output_mode", 0);
  node.require(mode >= 0 && mode <= 3, "qk_matmul_output_mode must be 0, 1, 2 or 3", mode);
  options.scores = static_cast<AttentionScores>(mode);
  node.require(options.softcap >= 0, "softcap must not be negative", options.softcap);
  node.require(options.left_window >= -1 && options.right_window >= -1, "a window size must be -1 or more", options.left_window,
               options.right_window);
  node.require(options.query_heads >= 0 && options.key_heads >= 0, "a number of heads must not be negative", options.query_heads,
               options.key_heads);
  return options;
}

Dim sum(const Dim& a, const Dim& b) {
  if (a.known() && a.size == 0) return b;
  return a.known() && b.known() ? Dim(checked_add(a.size, b.size, "keys of attention")) : Dim();
}

// The dims of one input as [batch, heads, rows, size].
Dims head_dims(const InferenceContext& node, int i, int64_t heads) {
  const Dims& x = node.dims(i);
  if (x.size() == 4) return x;
  node.require(x.size() == 3, "Q, K and V must have rank 3 or 4 (input, dims)", i, to_string(x));
  node.require(heads > 0, "inputs of rank 3 need q_num_heads and kv_num_heads (heads)", heads);
  node.require(!x[2].known() || x[2].size % heads == 0, "the number of heads must divide the last axis (input, dims, heads)", i,
               to_string(x), heads);
  return {x[0], Dim(heads), x[1], x[2].known() ? Dim(x[2].size / heads) : Dim()};
}

void infer(InferenceContext& node) {
  const AttentionOptions options = options_of(node);
  require_float(node, kQ);
  for (int i : {kK, kV, kPastKey, kPastValue})
    if (node.has_input(i)) node.require_same_dtype(kQ, i);
  if (node.has_input(kMask) && node.dtype(kMask) != DType::kBool) node.require_same_dtype(kQ, kMask);
  if (node.has_input(kValid)) node.require_dtype(kValid, DType::kI64);
  node.require(node.has_input(kPastKey) == node.has_input(kPastValue), "past_key and past_value come together");
  node.require(!node.has_input(kValid) || !node.has_input(kPastKey), "nonpad_kv_seqlen and a past exclude each other");
  const DType dtype = node.dtype(kQ);
  if (!node.has_rank(kQ) || !node.has_rank(kK) || !node.has_rank(kV)) {
    for (int i = 0; i < 4; ++i) node.set_output(i, dtype, std::nullopt);
    return;
  }
  const Dims q = head_dims(node, kQ, options.query_heads), k = head_dims(node, kK, options.key_heads),
             v = head_dims(node, kV, options.key_heads);
  node.require(!differ(q[0], k[0]) && !differ(k[0], v[0]) && !differ(q[3], k[3]) && !differ(k[1], v[1]) && !differ(k[2], v[2]),
               "Q, K and V do not fit each other", to_string(node.dims(kQ)), to_string(node.dims(kK)), to_string(node.dims(kV)));
  Dim total = k[2];
  if (node.has_input(kPastKey)) {
    const bool ranked = node.has_rank(kPastKey);
    node.require(!ranked || node.rank(kPastKey) == 4, "past_key must have rank 4");
    total = sum(ranked ? node.dims(kPastKey)[2] : Dim(), k[2]);
  }
  if (node.rank(kQ) == 4) {
    node.set_output(0, dtype, Dims{q[0], q[1], q[2], v[3]});
  } else {
    node.set_output(0, dtype, Dims{q[0], q[2], v[3].known() ? Dim(checked_mul(v[3].size, q[1].size, "hidden size")) : Dim()});
  }
  node.set_output(1, dtype, Dims{k[0], k[1], total, k[3]});
  node.set_output(2, dtype, Dims{v[0], v[1], total, v[3]});
  node.set_output(3, dtype, Dims{q[0], q[1], q[2], total});
}

// The same inputs, one later.
void infer_grad(InferenceContext& node) {
  const AttentionOptions options = options_of(node);
  node.require_same_dtype(0, 1 + kQ);
  node.set_output_like(0, 1 + kQ);
  const bool ranked = node.has_rank(1 + kQ) && node.has_rank(1 + kK) && node.has_rank(1 + kV);
  if (!node.has_input(1 + kPastKey)) {
    node.set_output_like(1, 1 + kK);
    node.set_output_like(2, 1 + kV);
  }
  const DType dtype = node.dtype(0);
  if (!ranked) {
    for (int i = node.has_input(1 + kPastKey) ? 1 : 3; i < 4; ++i) node.set_output(i, dtype, std::nullopt);
    return;
  }
  const Dims q = head_dims(node, 1 + kQ, options.query_heads), k = head_dims(node, 1 + kK, options.key_heads),
             v = head_dims(node, 1 + kV, options.key_heads);
  Dim total = k[2];
  if (node.has_input(1 + kPastKey)) {
    total = sum(node.has_rank(1 + kPastKey) ? node.dims(1 + kPastKey)[2] : Dim(), k[2]);
    node.set_output(1, dtype, Dims{k[0], k[1], total, k[3]});
    node.set_output(2, dtype, Dims{v[0], v[1], total, v[3]});
  }
  node.set_output(3, dtype, Dims{q[0], q[1], q[2], total});
}

// Rows [first, first + count of like] of axis 2 of `joined`, in the layout of `like`.
ValueId rows_of(GradientContext& node, ValueId joined, ValueId from, ValueId to, ValueId like) {
  const ValueId rows = node.emit("Slice", {joined, from, to, node.ints({2})});
  if (rank_of(node, like) == 4) return rows;
  return reshape_like(node, node.emit("Transpose", {rows}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}), like);
}

// The gradient of one input of keys or values, and of its past.
void set_key_gradient(GradientContext& node, ValueId grad, int fresh, int past, ValueId present_grad) {
  if (!node.has_input(past)) {
    node.require(present_grad == kNoValue || rank_of(node, node.input(fresh)) == 4,
                 "no gradient is defined through present_key or present_value of inputs of rank 3");
    if (present_grad != kNoValue) grad = node.emit("Add", {grad, present_grad});
    if (node.wants(fresh)) node.set_input_grad(fresh, grad);
    return;
  }
  if (present_grad != kNoValue) grad = node.emit("Add", {grad, present_grad});
  const ValueId length = node.emit("Slice", {shape_of(node, node.input(past)), node.ints({2}), node.ints({3}), node.ints({0})});
  if (node.wants(fresh))
    node.set_input_grad(fresh, rows_of(node, grad, length, node.ints({std::numeric_limits<int64_t>::max()}), node.input(fresh)));
  if (node.wants(past)) node.set_input_grad(past, rows_of(node, grad, node.ints({0}), length, node.input(past)));
}

void gradient(GradientContext& node) {
  node.require(node.outputs() < 4 || !node.has_output(3) || node.output_grad(3) == kNoValue,
               "no gradient is defined through qk_matmul_output");
  node.require(node.output_grad() != kNoValue, "the loss must depend on output Y");
  std::vector<ValueId> inputs = {node.output_grad()};
  for (int i = 0; i < node.inputs(); ++i) inputs.push_back(node.input(i));
  const bool mask = node.wants(kMask) && node.type(node.input(kMask)).dtype != DType::kBool;
  const auto grads = node.emit_many("AttentionGrad", inputs, mask ? 4 : 3, node.node().attributes, "tandem");
  if (node.wants(kQ)) node.set_input_grad(kQ, grads[0]);
  const auto present = [&](int i) { return node.has_output(i) ? node.output_grad(i) : kNoValue; };
  set_key_gradient(node, grads[1], kK, kPastKey, present(1));
  set_key_gradient(node, grads[2], kV, kPastValue, present(2));
  if (!mask) return;
  // A mask may be shorter than the keys: those beyond it are hidden.
  const ValueId shape = shape_of(node, node.input(kMask));
  const ValueId columns =
      node.emit("Slice", {shape, node.ints({-1}), node.ints({std::numeric_limits<int64_t>::max()}), node.ints({0})});
  const ValueId seen = node.emit("Slice", {grads[3], node.ints({0}), columns, node.ints({3})});
  node.set_input_grad(kMask, node.reduce_to(seen, node.input(kMask)));
}

ConstTensorView input_or_null(Inputs in, size_t i) { return in.size() > i ? in[i] : ConstTensorView{}; }
TensorView output_or_null(Outputs out, size_t i) { return out.size() > i ? out[i] : TensorView{}; }

AttentionInputs inputs_of(Inputs in) {
  return {.q = in[kQ],
          .k = in[kK],
          .v = in[kV],
          .mask = input_or_null(in, kMask),
          .past_k = input_or_null(in, kPastKey),
          .past_v = input_or_null(in, kPastValue),
          .valid_keys = input_or_null(in, kValid)};
}

// Of the inputs from `first` on.
AttentionGeometry geometry_of(const BindContext& node, const AttentionOptions& options, int first = 0) {
  const auto past = [&](int i) { return node.has_input(first + i) ? node.shape(first + i) : Shape(); };
  return naming(node, [&] {
    return attention_geometry(options, node.shape(first + kQ), node.shape(first + kK), node.shape(first + kV), past(kPastKey),
                              past(kPastValue));
  });
}

BoundKernel bind(const BindContext& node) {
  const AttentionOptions options = options_of(node);
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                cpu::attention(context, options, inputs_of(in),
                               {out[0], output_or_null(out, 1), output_or_null(out, 2), output_or_null(out, 3)});
              },
          .workspace = cpu::attention_workspace(node.dtype(kQ), geometry_of(node, options), node.has_output(3), node.threads())};
}

BoundKernel bind_grad(const BindContext& node) {
  const AttentionOptions options = options_of(node);
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                cpu::attention_grad(context, options, inputs_of(in.subspan(1)), in[0],
                                    {out[0], out[1], out[2], output_or_null(out, 3)});
              },
          .workspace = cpu::attention_grad_workspace(node.dtype(0), geometry_of(node, options, 1), node.threads())};
}

double flops(const BindContext& node) {
  const AttentionGeometry of = geometry_of(node, options_of(node));
  return 2.0 * static_cast<double>(of.batch * of.query_heads * of.queries) * static_cast<double>(of.keys) *
         static_cast<double>(of.head_size + of.value_size);
}

constexpr OpDef attention(int since, int until, int inputs, std::span<const std::string_view> attributes) {
  return {.name = "Attention",
          .since = since,
          .until = until,
          .min_inputs = 3,
          .max_inputs = inputs,
          .max_outputs = 4,
          .attributes = attributes,
          .infer = infer,
          .gradient = gradient,
          .cpu = bind,
          .flops = flops};
}

constexpr OpDef attention_op_23 = attention(23, 24, kInputs - 1, kAttributes23);
constexpr OpDef attention_op_24 = attention(24, 25, kInputs, kAttributes23);
constexpr OpDef attention_op_25 = attention(25, std::numeric_limits<int>::max(), kInputs, kAttributes);

constexpr OpDef attention_grad_op = {
    .name = "AttentionGrad",
    .domain = "tandem",
    .min_inputs = 4,
    .max_inputs = 1 + kInputs,
    .min_outputs = 3,
    .max_outputs = 4,
    .attributes = kAttributes,
    .infer = infer_grad,
    .cpu = bind_grad,
};

constexpr const OpDef* kOps[] = {&attention_op_23, &attention_op_24, &attention_op_25, &attention_grad_op};

}  // namespace

extern const OpFamily attention_ops;
constinit const OpFamily attention_ops = kOps;

}  // namespace tandem
