// GroupQueryAttention of com.microsoft: rotary embedding, a cache of keys and values, and causal attention of grouped heads.
//
// Sequence b holds seqlens_k[b] + 1 tokens after the step. In a prompt (as many queries as the longest sequence has tokens) its
// queries stand at 0, 1, ...; later they stand at its end. New keys are written into the cache at those places. The cache grows
// to total_sequence_length if it is shorter, as it is where every step concatenates; a longer one is a buffer for all steps.
#include <limits>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {
    "causal",         "do_rotary",       "k_quant_type", "kv_cache_bit_width", "kv_num_heads", "local_window_size",
    "num_heads",      "qk_norm_epsilon", "qk_output",    "rotary_interleaved", "scale",        "sliding_window_cache",
    "smooth_softmax", "softcap",         "v_quant_type"};
constexpr float kNormEpsilon = 1e-6f;

enum Input {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kLengths,
  kTotal,
  kCos,
  kSin,
  kPositions,
  kBias,
  kSink,
  kKeyScale,
  kValueScale,
  kQueryNorm,
  kKeyNorm
};

class GroupQuery {
 public:
  explicit GroupQuery(ContribContext& node)
      : node_(node), heads_(node.get_int("num_heads", 0)), key_heads_(node.get_int("kv_num_heads", 0)) {
    node.need_inputs({kLengths, kTotal});
    node.refuse_inputs({kSink, kKeyScale, kValueScale});
    node.refuse_outputs({3});
    node.refuse_attribute("sliding_window_cache", 0);
    node.refuse_attribute("qk_output", 0);
    node.require(node.get_int("smooth_softmax", -1) <= 0, "smooth_softmax is not supported");
    for (const std::string_view name : {"k_quant_type", "v_quant_type"})
      node.require(node.get_string(name, "NONE") == "NONE", "a quantized cache is not supported", name);
    node.require(heads_ > 0 && key_heads_ > 0 && heads_ % key_heads_ == 0, "num_heads must be a multiple of kv_num_heads", heads_,
                 key_heads_);
  }

  void run() {
    read_inputs();
    place_queries();
    normalize();
    if (node_.get_int("do_rotary", 0) != 0) rotate();
    ValueId k = by_head(k_, key_heads_), v = by_head(v_, key_heads_);
    if (node_.has_input(kPastKey)) {
      k = cached(node_.input(kPastKey), k);
      v = cached(node_.input(kPastValue), v);
    }
    Attributes attributes = {{"softcap", node_.get_float("softcap", 0)}};
    if (const float scale = node_.get_float("scale", 0); scale != 0) attributes["scale"] = scale;
    const ValueId y = node_.emit("Attention", {by_head(q_, heads_), k, v, mask(k)}, attributes);
    node_.set_output(0, node_.reshape(node_.transpose(y, {0, 2, 1, 3}), {0, 0, -1}));
    node_.set_output(1, k);
    node_.set_output(2, v);
  }

 private:
  ValueId by_head(ValueId x, int64_t heads) { return node_.transpose(node_.reshape(x, {0, 0, heads, -1}), {0, 2, 1, 3}); }

  void read_inputs() {
    q_ = node_.input(kQuery), k_ = node_.input(kKey), v_ = node_.input(kValue);
    if (k_ != kNoValue) return;
    const int64_t columns = node_.size(q_, 2), all = heads_ + 2 * key_heads_;
    node_.require(columns > 0 && columns % all == 0,
                  "the columns of a packed query must be known and divide by all heads (columns, heads)", columns, all);
    const int64_t size = columns / all;
    const auto parts = node_.split(q_, 2, {heads_ * size, key_heads_ * size, key_heads_ * size});
    q_ = parts[0], k_ = parts[1], v_ = parts[2];
  }

  // first_ [batch]: the position of each sequence's first query; at_ [batch, queries]: of all.
  void place_queries() {
    const ValueId rows = node_.size_value(q_, 1);
    total_ = node_.reshape(node_.cast(node_.input(kTotal), DType::kI64), {1});
    ends_ = node_.emit("Add", {node_.cast(node_.input(kLengths), DType::kI64), node_.scalar(1, DType::kI64)});
    ends_ = node_.reshape(ends_, {-1});
    const ValueId prompt = node_.emit("Equal", {total_, rows});
    first_ = node_.emit("Where", {prompt, node_.scalar(0, DType::kI64), node_.emit("Sub", {ends_, rows})});
    at_ = node_.emit("Add", {node_.unsqueeze(first_, {1}), node_.unsqueeze(node_.range(rows), {0})});
  }

  // Each head's row of queries and keys.
  void normalize() {
    const Attributes attributes = {{"axis", int64_t{-1}}, {"epsilon", node_.get_float("qk_norm_epsilon", kNormEpsilon)}};
    const auto normalized = [&](ValueId x, int64_t heads, ValueId weight) {
      if (weight == kNoValue) return x;
      return node_.reshape(node_.emit("RMSNormalization", {node_.reshape(x, {0, 0, heads, -1}), weight}, attributes), {0, 0, -1});
    };
    q_ = normalized(q_, heads_, node_.input(kQueryNorm));
    k_ = normalized(k_, key_heads_, node_.input(kKeyNorm));
  }

  void rotate() {
    node_.require(node_.has_input(kCos) && node_.has_input(kSin), "do_rotary needs cos_cache and sin_cache");
    const int64_t half = node_.size(node_.input(kCos), 1);
    node_.require(half > 0, "the size of cos_cache must be known");
    const ValueId at = node_.has_input(kPositions) ? node_.input(kPositions) : at_;
    const auto rotated = [&](ValueId x, int64_t heads) {
      return node_.emit(
          "RotaryEmbedding", {x, node_.input(kCos), node_.input(kSin), at},
          {{"interleaved", node_.get_int("rotary_interleaved", 0)}, {"num_heads", heads}, {"rotary_embedding_dim", 2 * half}});
    };
    q_ = rotated(q_, heads_);
    k_ = rotated(k_, key_heads_);
  }

  // `past` with the new rows written in, grown to the longest sequence if it is shorter.
  ValueId cached(ValueId past, ValueId fresh) {
    const ValueId missing = node_.emit("Max", {node_.emit("Sub", {total_, node_.size_value(past, 2, true)}), node_.ints({0})});
    const ValueId none = node_.ints({0});
    const ValueId pads = node_.emit("Concat", {none, none, none, none, none, none, missing, none}, {{"axis", int64_t{0}}});
    const ValueId grown = node_.emit("Pad", {past, pads});
    return node_.emit("TensorScatter", {grown, fresh, first_}, {{"axis", int64_t{2}}});
  }

  // What a query sees: keys up to its own place, no further back than the window; without causal, all of the sequence.
  ValueId mask(ValueId k) {
    const ValueId keys = node_.unsqueeze(node_.range(node_.size_value(k, 2)), {0, 1});
    const ValueId at = node_.unsqueeze(at_, {2});
    const int64_t window = node_.get_int("local_window_size", -1);
    const bool causal = node_.get_int("causal", 1) != 0;
    ValueId seen = causal ? node_.emit("LessOrEqual", {keys, at}) : node_.emit("Less", {keys, node_.unsqueeze(ends_, {1, 2})});
    if (causal && window > 0) {
      const ValueId first = node_.emit("Sub", {at, node_.scalar(static_cast<double>(window - 1), DType::kI64)});
      seen = node_.emit("And", {seen, node_.emit("GreaterOrEqual", {keys, first})});
    }
    seen = node_.unsqueeze(seen, {1});
    if (!node_.has_input(kBias)) return seen;
    const ValueId bias = node_.input(kBias);
    return node_.emit("Where", {seen, bias, node_.scalar(-std::numeric_limits<double>::infinity(), node_.dtype(bias))});
  }

  ContribContext& node_;
  int64_t heads_, key_heads_;
  ValueId q_ = kNoValue, k_ = kNoValue, v_ = kNoValue;
  ValueId total_ = kNoValue, ends_ = kNoValue, first_ = kNoValue, at_ = kNoValue;
};

void group_query_attention(ContribContext& node) { GroupQuery(node).run(); }

constexpr ContribOp kOps[] = {contrib_op("GroupQueryAttention", 1, kKeyNorm + 1, 4, kAttributes, group_query_attention)};

}  // namespace

constinit const ContribFamily contrib_group_query_ops = kOps;

}  // namespace tandem
