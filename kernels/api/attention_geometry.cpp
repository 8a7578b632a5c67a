// The sizes and strides of attention, for both layouts of its inputs.
#include "kernels/api/attention.h"

namespace tandem {
namespace {

// A [batch, heads, rows, size] tensor, or [batch, rows, heads * size].
struct Heads {
  int64_t batch, heads, rows, size;
  HeadStrides strides;
};

Heads heads_of(const Shape& x, int64_t heads) {
  if (x.rank() == 4) return {x[0], x[1], x[2], x[3], {x[1] * x[2] * x[3], x[2] * x[3], x[3], 1}};
  require(x.rank() == 3, "attention takes tensors of rank 3 or 4", to_string(x));
  require(heads > 0 && x[2] % heads == 0, "the number of heads must divide the last axis (heads, shape)", heads, to_string(x));
  return {x[0], heads, x[1], x[2] / heads, {x[1] * x[2], x[2] / heads, x[2], 1}};
}

using Sizes = std::array<int64_t, 4>;

// As four axes, 1 in front.
Sizes padded(const Shape& x) {
  require(x.rank() <= 4, "attention takes tensors of up to 4 axes", to_string(x));
  Sizes sizes{1, 1, 1, 1};
  for (int i = 0; i < x.rank(); ++i) sizes[static_cast<size_t>(4 - x.rank() + i)] = x[i];
  return sizes;
}

Sizes contiguous(const Sizes& sizes) {
  Sizes strides{1, 1, 1, 1};
  for (size_t i = 3; i-- > 0;) strides[i] = strides[i + 1] * sizes[i + 1];
  return strides;
}

Sizes permuted(const Sizes& sizes, const std::array<int, 4>& perm) {
  Sizes result{};
  for (size_t i = 0; i < 4; ++i) result[i] = sizes[static_cast<size_t>(perm[i])];
  return result;
}

int64_t broadcast(int64_t a, int64_t b, const char* axis) {
  require(a == b || a == 1 || b == 1, "attention: sizes do not broadcast (axis, sizes)", axis, a, b);
  return a == 1 ? b : a;
}

// A size of 1 is read again and again.
HeadStrides strides_of(const Sizes& sizes, const Sizes& strides) {
  const auto step = [&](size_t i) { return sizes[i] == 1 ? 0 : strides[i]; };
  return {step(0), step(1), step(2), strides[3]};
}

}  // namespace

AttentionGeometry broadcast_attention_geometry(const AttentionPerms& perms, const Shape& q, const Shape& k, const Shape& v,
                                               const Shape& mask, const Shape& second_mask, bool masks_cycle) {
  const Sizes query = permuted(padded(q), perms.q), key = permuted(padded(k), perms.k), value = permuted(padded(v), perms.v);
  const std::string shapes = to_string(q) + to_string(k) + to_string(v);
  require(query[3] == key[3], "Q and K differ in the size of a head", shapes);
  AttentionGeometry of;
  of.mask_broadcasts = true, of.masks_cycle = masks_cycle;
  of.head_size = query[3], of.value_size = value[3];
  of.batch = broadcast(broadcast(query[0], key[0], "batch"), value[0], "batch");
  of.key_heads = broadcast(key[1], value[1], "heads of K and V");
  of.query_heads = query[1] == 1 ? of.key_heads : query[1];
  of.queries = query[2], of.keys = key[2];
  for (const Shape& one : {mask, second_mask}) {
    const Sizes sizes = padded(one);
    if (!masks_cycle) of.batch = broadcast(of.batch, sizes[0], "batch of the mask");
    of.query_heads = broadcast(of.query_heads, sizes[1], "heads of the mask");
    of.queries = broadcast(of.queries, sizes[2], "rows of the mask");
    of.keys = broadcast(of.keys, sizes[3], "columns of the mask");
  }
  require(value[2] == of.keys, "K and V differ in rows", shapes);
  require(of.key_heads == of.query_heads || (of.key_heads > 0 && of.query_heads % of.key_heads == 0),
          "the heads of Q must be a multiple of those of K", of.query_heads, of.key_heads);
  of.q = strides_of(query, permuted(contiguous(padded(q)), perms.q));
  of.k = strides_of(key, permuted(contiguous(padded(k)), perms.k));
  of.v = strides_of(value, permuted(contiguous(padded(v)), perms.v));
  const Sizes y = {of.batch, of.query_heads, of.queries, of.value_size}, y_steps = contiguous(permuted(y, perms.y));
  Sizes y_strides{};
  for (size_t i = 0; i < 4; ++i) y_strides[static_cast<size_t>(perms.y[i])] = y_steps[i];
  of.y = {y_strides[0], y_strides[1], y_strides[2], y_strides[3]};
  require(of.q.column == 1 && of.v.column == 1 && of.y.column == 1, "only K may have its rows last in memory", shapes);
  return of;
}

AttentionGeometry attention_geometry(const AttentionOptions& options, const Shape& q, const Shape& k, const Shape& v,
                                     const Shape& past_k, const Shape& past_v) {
  const Heads query = heads_of(q, options.query_heads), key = heads_of(k, options.key_heads),
              value = heads_of(v, options.key_heads);
  const std::string shapes = to_string(q) + to_string(k) + to_string(v);
  require(query.batch == key.batch && key.batch == value.batch, "Q, K and V differ in the batch", shapes);
  require(query.size == key.size, "Q and K differ in the size of a head", shapes);
  require(key.heads == value.heads && key.rows == value.rows, "K and V differ in heads or rows", shapes);
  require(key.heads > 0 && query.heads % key.heads == 0, "the heads of Q must be a multiple of those of K", query.heads,
          key.heads);
  require(past_k.rank() == past_v.rank(), "past_key and past_value come together", to_string(past_k), to_string(past_v));
  AttentionGeometry of;
  of.batch = query.batch, of.query_heads = query.heads, of.key_heads = key.heads;
  of.queries = query.rows, of.keys = key.rows;
  of.head_size = query.size, of.value_size = value.size;
  of.q = query.strides, of.k = key.strides, of.v = value.strides;
  of.y = q.rank() == 4 ? HeadStrides{query.heads * query.rows * value.size, query.rows * value.size, value.size, 1}
                       : HeadStrides{query.rows * query.heads * value.size, value.size, query.heads * value.size, 1};
  if (past_k.rank() == 0) return of;
  require(past_k.rank() == 4 && past_v.rank() == 4, "the past must have rank 4", to_string(past_k), to_string(past_v));
  const Heads old_key = heads_of(past_k, 0), old_value = heads_of(past_v, 0);
  require(old_key.batch == of.batch && old_key.heads == of.key_heads && old_key.size == of.head_size &&
              old_value.batch == of.batch && old_value.heads == of.key_heads && old_value.size == of.value_size &&
              old_value.rows == old_key.rows,
          "the past does not fit K and V", to_string(past_k), to_string(past_v), shapes);
  of.past = old_key.rows;
  of.keys = checked_add(of.keys, of.past, "keys of attention");
  of.past_k = old_key.strides, of.past_v = old_value.strides;
  return of;
}

}  // namespace tandem
