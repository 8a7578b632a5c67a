// Attention, QAttention, MultiHeadAttention, GroupQueryAttention and RotaryEmbedding of com.microsoft, as ONNX's Attention and
// RotaryEmbedding.
//
// Their masks come in many forms; here each becomes a float that is added to the scores, [batch or 1, heads or 1, queries or 1,
// keys].
#include <limits>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kAttentionAttributes[] = {
    "do_rotary",        "mask_filter_value",    "num_heads", "past_present_share_buffer",
    "qkv_hidden_sizes", "rotary_embedding_dim", "scale",     "unidirectional"};
constexpr std::string_view kMultiHeadAttributes[] = {"mask_filter_value", "num_heads", "scale", "unidirectional"};
constexpr std::string_view kRotaryAttributes[] = {"interleaved", "is_packed_batching", "num_heads", "rotary_embedding_dim",
                                                  "scale"};
constexpr float kMaskFilter = -10000;

// [batch, rows, heads * size] <-> [batch, heads, rows, size]
ValueId by_head(ContribContext& node, ValueId x, int64_t heads) {
  return node.transpose(node.reshape(x, {0, 0, heads, -1}), {0, 2, 1, 3});
}
ValueId by_row(ContribContext& node, ValueId x) { return node.reshape(node.transpose(x, {0, 2, 1, 3}), {0, 0, -1}); }

// Queries, keys and values; all of rank 4, or all of rank 3.
struct Heads {
  ValueId q, k, v;
};

// The number of keys as a scalar, those of the past among them.
ValueId key_count(ContribContext& node, ValueId k, ValueId past_key) {
  const ValueId fresh = node.size_value(k, node.rank(k) == 4 ? 2 : 1);
  return past_key == kNoValue ? fresh : node.emit("Add", {fresh, node.size_value(past_key, 2)});
}

// A mask of integers: [batch] or [2 * batch] positions, [batch, keys], [batch, queries, keys] of 1 (seen) and 0.
ValueId added_mask(ContribContext& node, ValueId mask, const Heads& heads, ValueId past_key) {
  if (mask == kNoValue) return kNoValue;
  const int rank = node.rank(mask);
  node.require(rank >= 1 && rank <= 3, "a mask of this rank is not supported (rank)", rank);
  const DType dtype = node.dtype(heads.q);
  ValueId seen;
  if (rank == 1) {
    const int64_t batch = node.size(heads.q, 0), entries = node.size(mask, 0);
    const bool with_starts = batch > 0 && entries == 2 * batch;
    node.require(with_starts || batch < 0 || entries < 0 || entries == batch,
                 "a mask of this length is not supported (has, batch)", entries, batch);
    const ValueId at = node.range(key_count(node, heads.k, past_key)), ends = node.cast(mask, DType::kI64);
    const auto column = [&](ValueId positions) { return node.unsqueeze(positions, {1}); };
    seen = node.emit("Less", {at, column(with_starts ? node.slice(ends, 0, 0, batch) : ends)});
    if (with_starts)
      seen = node.emit("And", {seen, node.emit("GreaterOrEqual", {at, column(node.slice(ends, 0, batch, 2 * batch))})});
    seen = node.cast(seen, dtype);
  } else {
    seen = node.cast(mask, dtype);
  }
  const ValueId hidden = node.emit("Sub", {node.scalar(1, dtype), seen});
  const double filter = static_cast<double>(node.get_float("mask_filter_value", kMaskFilter));
  return node.unsqueeze(node.emit("Mul", {hidden, node.scalar(filter, dtype)}),
                        rank == 3 ? std::vector<int64_t>{1} : std::vector<int64_t>{1, 2});
}

// Outputs: y of rank 3, present key, present value.
std::vector<ValueId> attend(ContribContext& node, Heads heads, ValueId mask, ValueId past_key, ValueId past_value,
                            bool wants_present) {
  const int64_t count = node.get_int("num_heads", 0);
  node.require(count > 0, "num_heads must be positive", count);
  const int rank = node.rank(heads.q);
  Attributes attributes = {{"is_causal", node.get_int("unidirectional", 0)}};
  if (const float scale = node.get_float("scale", 0); scale != 0) attributes["scale"] = scale;
  if (rank == 3) attributes["q_num_heads"] = attributes["kv_num_heads"] = count;
  auto made =
      node.emit_many("Attention", {heads.q, heads.k, heads.v, mask, past_key, past_value}, wants_present ? 3 : 1, attributes);
  if (rank == 4) made[0] = by_row(node, made[0]);
  return made;
}

enum AttentionInput { kInput, kWeights, kBias, kMaskIndex, kPast, kAttentionBias, kPastLength };

// The sizes of Q, K and V in the columns of the merged weights.
std::vector<int64_t> hidden_sizes(ContribContext& node) {
  std::vector<int64_t> sizes = node.get_ints("qkv_hidden_sizes");
  const int64_t columns = node.size(node.input(kWeights), 1);
  if (sizes.empty()) sizes.assign(3, columns / 3);
  node.require(sizes.size() == 3 && columns >= 0 && sizes[0] + sizes[1] + sizes[2] == columns,
               "the weights must have known columns, for Q, K and V", columns);
  return sizes;
}

// Queries, keys and values are the columns of `projected`; `past` holds keys and values, one above the other.
void attend_projected(ContribContext& node, ValueId projected, ValueId mask_index, ValueId past, ValueId score_bias) {
  node.refuse_attribute("do_rotary", 0);
  node.refuse_attribute("past_present_share_buffer", 0);
  const auto parts = node.split(projected, -1, hidden_sizes(node));
  const Heads heads = {parts[0], parts[1], parts[2]};
  ValueId past_key = kNoValue, past_value = kNoValue;
  if (past != kNoValue) {
    const auto pasts = node.split(past, 0, {1, 1});
    past_key = node.emit("Squeeze", {pasts[0], node.ints({0})});
    past_value = node.emit("Squeeze", {pasts[1], node.ints({0})});
  }
  const ValueId mask = node.sum({added_mask(node, mask_index, heads, past_key), score_bias});
  const auto made = attend(node, heads, mask, past_key, past_value, node.has_output(1));
  node.set_output(0, made[0]);
  if (node.has_output(1))
    node.set_output(1, node.emit("Concat", {node.unsqueeze(made[1], {0}), node.unsqueeze(made[2], {0})}, {{"axis", int64_t{0}}}));
}

void attention(ContribContext& node) {
  node.refuse_inputs({kPastLength});
  const ValueId projected = node.sum({node.emit("MatMul", {node.input(kInput), node.input(kWeights)}), node.input(kBias)});
  attend_projected(node, projected, node.input(kMaskIndex), node.input(kPast), node.input(kAttentionBias));
}

// input, weight, bias, input_scale, weight_scale, mask_index, input_zero_point, weight_zero_point, past
void quantized_attention(ContribContext& node) {
  const ValueId product = node.emit("MatMulInteger", {node.input(kInput), node.input(kWeights), node.input(6), node.input(7)});
  const ValueId scale = node.emit("Mul", {node.input(3), node.input(4)});
  const ValueId projected = node.sum({node.emit("Mul", {node.cast(product, node.dtype(scale)), scale}), node.input(kBias)});
  attend_projected(node, projected, node.input(5), node.input(8), kNoValue);
}

enum MultiHeadInput {
  kQuery,
  kKey,
  kValue,
  kMultiHeadBias,
  kPadding,
  kScoreBias,
  kPastKey,
  kPastValue,
  kSharedLength,
  kIndirection
};

// Part i of `parts` of a [batch, rows, heads, parts, size] tensor, as [batch, rows, heads * size].
ValueId unpacked(ContribContext& node, ValueId packed, int64_t i) {
  return node.reshape(node.slice(packed, 3, i, i + 1), {0, 0, -1});
}

Heads multi_head_inputs(ContribContext& node) {
  const ValueId query = node.input(kQuery), key = node.input(kKey), value = node.input(kValue);
  if (node.rank(query) == 5) return {unpacked(node, query, 0), unpacked(node, query, 1), unpacked(node, query, 2)};
  node.require(key != kNoValue, "a query of rank 3 needs a key");
  if (node.rank(key) == 5) return {query, unpacked(node, key, 0), unpacked(node, key, 1)};
  node.require(value != kNoValue, "a key of rank 3 or 4 needs a value");
  return {query, key, value};
}

// Keys and values of rank 4 come from a cache: they have their bias already.
void add_input_bias(ContribContext& node, Heads& heads) {
  const ValueId bias = node.input(kMultiHeadBias);
  if (bias == kNoValue) return;
  const int64_t hidden = node.size(heads.q, -1);
  node.require(hidden >= 0, "the hidden size must be known where there is a bias");
  const bool cached = node.rank(heads.k) == 4;
  heads.q = node.emit("Add", {heads.q, node.slice(bias, 0, 0, hidden)});
  if (cached) return;
  heads.k = node.emit("Add", {heads.k, node.slice(bias, 0, hidden, 2 * hidden)});
  heads.v = node.emit("Add", {heads.v, node.slice(bias, 0, 2 * hidden, std::numeric_limits<int64_t>::max())});
}

void multi_head_attention(ContribContext& node) {
  node.refuse_inputs({kSharedLength, kIndirection});
  node.refuse_outputs({3});
  Heads heads = multi_head_inputs(node);
  add_input_bias(node, heads);
  if (node.rank(heads.k) == 4) heads.q = by_head(node, heads.q, node.get_int("num_heads", 0));
  const ValueId past_key = node.input(kPastKey);
  const ValueId mask = node.sum({added_mask(node, node.input(kPadding), heads, past_key), node.input(kScoreBias)});
  const auto made = attend(node, heads, mask, past_key, node.input(kPastValue), node.has_output(1) || node.has_output(2));
  for (size_t i = 0; i < made.size(); ++i) node.set_output(static_cast<int>(i), made[i]);
}

// input, position_ids, cos, sin
void rotary_embedding(ContribContext& node) {
  node.refuse_attribute("is_packed_batching", 0);
  const ValueId x = node.input(0), cos = node.input(2);
  ValueId positions = node.input(1);
  const int rank = node.rank(x);
  if (node.rank(positions) == 1) {
    // One number: where all sequences begin.
    const int64_t row_axis = rank == 4 ? 2 : 1;
    const ValueId all = node.emit("Add", {node.range(node.size_value(x, row_axis)), positions});
    const ValueId shape =
        node.emit("Concat", {node.size_value(x, 0, true), node.size_value(x, row_axis, true)}, {{"axis", int64_t{0}}});
    positions = node.emit("Expand", {all, shape});
  }
  Attributes attributes = {{"interleaved", node.get_int("interleaved", 0)}};
  int64_t heads = node.get_int("num_heads", 0);
  if (const int64_t rotated = node.get_int("rotary_embedding_dim", 0); rotated > 0) attributes["rotary_embedding_dim"] = rotated;
  if (rank == 3 && heads == 0) {
    const int64_t hidden = node.size(x, 2), half = node.size(cos, 1);
    node.require(hidden > 0 && half > 0 && hidden % (2 * half) == 0,
                 "num_heads is missing, and not told by the shapes (hidden, half)", hidden, half);
    heads = hidden / (2 * half);
  }
  if (rank == 3) attributes["num_heads"] = heads;
  node.set_output(0, node.emit("RotaryEmbedding", {x, cos, node.input(3), positions}, attributes));
}

constexpr ContribOp kOps[] = {
    contrib_op("Attention", 2, 7, 2, kAttentionAttributes, attention),
    contrib_op("QAttention", 5, 9, 2, kAttentionAttributes, quantized_attention),
    contrib_op("MultiHeadAttention", 1, 10, 4, kMultiHeadAttributes, multi_head_attention),
    contrib_op("RotaryEmbedding", 4, 4, 1, kRotaryAttributes, rotary_embedding),
};

}  // namespace

constinit const ContribFamily contrib_attention_ops = kOps;

}  // namespace tandem
