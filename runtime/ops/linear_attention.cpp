// LinearAttention (ONNX 27). chunk_size is a hint that changes no result.
#include "kernels/api/linear_attention.h"

#include "runtime/graph/contexts.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"chunk_size", "kv_num_heads", "q_num_heads", "scale", "update_rule"};
constexpr Alias kInPlace[] = {{.input = 3, .output = 1}};

enum Input { kQ, kK, kV, kPast, kDecay, kBeta, kInputs };

LinearAttentionOptions options_of(const NodeContext& node) {
  const std::string rule = node.get_string("update_rule", "gated_delta");
  node.require(rule == "linear" || rule == "gated" || rule == "delta" || rule == "gated_delta",
               "update_rule must be linear, gated, delta or gated_delta", rule);
  node.require(node.has_input(kDecay) == rule.starts_with("gated"), "decay goes with a gated update_rule", rule);
  node.require(node.has_input(kBeta) == rule.ends_with("delta"), "beta goes with a delta update_rule", rule);
  const LinearAttentionOptions options = {.query_heads = node.get_int("q_num_heads", 0),
                                          .heads = node.get_int("kv_num_heads", 0),
                                          .scale = static_cast<double>(node.get_float("scale", 0))};
  node.require(options.heads > 0 && options.query_heads > 0 && options.query_heads % options.heads == 0,
               "q_num_heads must be a positive multiple of kv_num_heads", options.query_heads, options.heads);
  return options;
}

Dim divided(const Dim& dim, int64_t by) { return dim.known() ? Dim(dim.size / by) : Dim(); }

void infer(InferenceContext& node) {
  const LinearAttentionOptions options = options_of(node);
  require_float(node, kQ);
  for (int i : {kK, kV, kDecay, kBeta})
    if (node.has_input(i)) node.require_same_dtype(kQ, i);
  const DType state = node.dtype(node.has_input(kPast) ? kPast : kQ);
  if (!node.has_rank(kQ) || !node.has_rank(kV)) {
    node.set_output(0, node.dtype(kQ), std::nullopt);
    return node.set_output(1, state, std::nullopt);
  }
  const Dims &q = node.dims(kQ), &v = node.dims(kV);
  node.require(q.size() == 3 && v.size() == 3, "query and value must have rank 3", to_string(q), to_string(v));
  const Dim key = divided(q[2], options.query_heads), value = divided(v[2], options.heads);
  node.set_output(0, node.dtype(kQ), Dims{q[0], q[1], value.known() ? Dim(checked_mul(value.size, options.query_heads)) : Dim()});
  node.set_output(1, state, Dims{q[0], Dim(options.heads), key, value});
}

BoundKernel bind(const BindContext& node) {
  const LinearAttentionOptions options = options_of(node);
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                const auto view = [&](size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; };
                cpu::linear_attention(context,
                                      {.q = in[kQ],
                                       .k = in[kK],
                                       .v = in[kV],
                                       .past = view(kPast),
                                       .decay = view(kDecay),
                                       .beta = view(kBeta),
                                       .y = out[0],
                                       .state = out[1]},
                                      options);
              },
          .workspace = cpu::linear_attention_workspace(node.dtype(kQ), node.shape(kV)[2] / options.heads, node.threads())};
}

constexpr OpDef linear_attention_op = {
    .name = "LinearAttention",
    .since = 27,
    .min_inputs = 3,
    .max_inputs = kInputs,
    .min_outputs = 2,
    .max_outputs = 2,
    .attributes = kAttributes,
    .infer = infer,
    .cpu = bind,
    .aliases = kInPlace,
};

constexpr const OpDef* kOps[] = {&linear_attention_op};

}  // namespace

extern const OpFamily linear_attention_ops;
constinit const OpFamily linear_attention_ops = kOps;

}  // namespace tandem
