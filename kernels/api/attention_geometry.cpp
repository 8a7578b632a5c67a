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
  if (x.rank() == 4) return {x[0], x[1], x[2], x[3], {x[1] * x[2] * x[3], x[2] * x[3], x[3]}};
  require(x.rank() == 3, "attention takes tensors of rank 3 or 4", to_string(x));
  require(heads > 0 && x[2] % heads == 0, "the number of heads must divide the last axis (heads, shape)", heads, to_string(x));
  return {x[0], heads, x[1], x[2] / heads, {x[1] * x[2], x[2] / heads, x[2]}};
}

}  // namespace

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
  of.y = q.rank() == 4 ? HeadStrides{query.heads * query.rows * value.size, query.rows * value.size, value.size}
                       : HeadStrides{query.rows * query.heads * value.size, value.size, query.heads * value.size};
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
