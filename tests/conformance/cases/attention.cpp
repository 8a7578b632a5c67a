// Attention and what goes with it: rotary embedding and updates of a cache. References are plain loops in double.
#include <array>
#include <cmath>
#include <complex>
#include <limits>
#include <numeric>

#include "runtime/ops/all_ops.h"
#include "tests/conformance/cases/cases.h"
#include "tests/conformance/cases/differences.h"

namespace tandem::conformance {
namespace {

int64_t integer(const Attributes& attributes, const std::string& name, int64_t fallback) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? fallback : std::get<int64_t>(found->second);
}
double real(const Attributes& attributes, const std::string& name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? 0 : static_cast<double>(std::get<float>(found->second));
}

// [batch, rows, heads * size] as [batch, heads, rows, size] and back.
Tensor by_head(const Tensor& x, int64_t heads) {
  if (x.shape().rank() == 4) return x;
  const int64_t batch = x.shape()[0], rows = x.shape()[1], size = x.shape()[2] / heads;
  const std::vector<double> from = numbers(x);
  std::vector<double> to;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t d = 0; d < size; ++d) to.push_back(from[static_cast<size_t>(((b * rows + r) * heads + h) * size + d)]);
  return f64({batch, heads, rows, size}, to);
}
Tensor by_row(const Tensor& x) {
  const int64_t batch = x.shape()[0], heads = x.shape()[1], rows = x.shape()[2], size = x.shape()[3];
  const std::vector<double> from = numbers(x);
  std::vector<double> to;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t d = 0; d < size; ++d) to.push_back(from[static_cast<size_t>(((b * heads + h) * rows + r) * size + d)]);
  return f64({batch, rows, heads * size}, to);
}

// Rows of `past`, then those of `fresh`, for each head.
Tensor joined(const Tensor& past, const Tensor& fresh) {
  if (!past) return fresh;
  const Shape &a = past.shape(), &b = fresh.shape();
  const std::vector<double> old = numbers(past), now = numbers(fresh);
  std::vector<double> all;
  for (int64_t i = 0; i < a[0] * a[1]; ++i) {
    const auto take = [&](const std::vector<double>& from, int64_t n) {
      all.insert(all.end(), from.begin() + i * n, from.begin() + (i + 1) * n);
    };
    take(old, a[2] * a[3]);
    take(now, b[2] * b[3]);
  }
  return f64({a[0], a[1], a[2] + b[2], a[3]}, all);
}

// One number of a mask that broadcasts to [batch, heads, queries, keys], or begins again with every so many batches.
double mask_at(const Tensor& mask, std::array<int64_t, 4> index) {
  const Shape& shape = mask.shape();
  if (index[3] >= shape[shape.rank() - 1]) return -std::numeric_limits<double>::infinity();
  int64_t at = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int64_t i = index[static_cast<size_t>(axis + 4 - shape.rank())];
    at = at * shape[axis] + i % shape[axis];
  }
  const double value = numbers(mask)[static_cast<size_t>(at)];
  if (mask.dtype() != DType::kBool) return value;
  return value != 0 ? 0 : -std::numeric_limits<double>::infinity();
}

// (q, k, v, mask, past key, past value, valid keys) -> y, present key, present value, scores.
Reference attention(const Attributes& attributes) {
  return [attributes](const std::vector<Tensor>& in) {
    const auto input = [&](size_t i) { return in.size() > i ? in[i] : Tensor(); };
    const int64_t query_heads = integer(attributes, "q_num_heads", 0), key_heads = integer(attributes, "kv_num_heads", 0);
    const Tensor q = by_head(in[0], query_heads), k = joined(input(4), by_head(in[1], key_heads)),
                 v = joined(input(5), by_head(in[2], key_heads));
    const int64_t batch = q.shape()[0], heads = q.shape()[1], rows = q.shape()[2], size = q.shape()[3], keys = k.shape()[2],
                  values = v.shape()[3], group = heads / k.shape()[1];
    const double softcap = real(attributes, "softcap"), given = real(attributes, "scale");
    const double scale = given != 0 ? given : 1 / std::sqrt(static_cast<double>(size));
    const int64_t mode = integer(attributes, "qk_matmul_output_mode", 0), left = integer(attributes, "left_window_size", -1),
                  right = integer(attributes, "right_window_size", -1);
    const std::vector<double> qs = numbers(q), ks = numbers(k), vs = numbers(v);
    std::vector<double> y, scores;
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < rows; ++i) {
          const int64_t valid = input(6) ? static_cast<int64_t>(numbers(input(6))[static_cast<size_t>(b)]) : keys;
          const int64_t at = i + (input(6) ? valid - rows : keys - by_head(in[1], key_heads).shape()[2]);
          const int64_t key_head = b * k.shape()[1] + h / group;
          std::vector<double> p, shown;
          for (int64_t j = 0; j < keys; ++j) {
            double s = 0;
            for (int64_t d = 0; d < size; ++d)
              s += scale * qs[static_cast<size_t>(((b * heads + h) * rows + i) * size + d)] *
                   ks[static_cast<size_t>((key_head * keys + j) * size + d)];
            if (mode == 0) shown.push_back(s);
            if (softcap > 0) s = softcap * std::tanh(s / softcap);
            if (mode == 1) shown.push_back(s);
            const bool hidden = j >= valid || (integer(attributes, "is_causal", 0) != 0 && j > at) ||
                                (left >= 0 && j < at - left) || (right >= 0 && j > at + right);
            s += input(3) ? mask_at(input(3), {b, h, i, j}) : 0;
            if (hidden) s = -std::numeric_limits<double>::infinity();
            if (mode == 2) shown.push_back(s);
            p.push_back(std::exp(s));
          }
          double sum = 0;
          for (double w : p) sum += w;
          for (double& w : p) w = sum == 0 ? 0 : w / sum;
          scores.insert(scores.end(), mode == 3 ? p.begin() : shown.begin(), mode == 3 ? p.end() : shown.end());
          for (int64_t d = 0; d < values; ++d) {
            double total = 0;
            for (int64_t j = 0; j < keys; ++j)
              total += p[static_cast<size_t>(j)] * vs[static_cast<size_t>((key_head * keys + j) * values + d)];
            y.push_back(total);
          }
        }
    const Tensor result = f64({batch, heads, rows, values}, y);
    return std::vector{in[0].shape().rank() == 3 ? by_row(result) : result, k, v, f64({batch, heads, rows, keys}, scores)};
  };
}

Reference first_outputs(Reference all, size_t count) {
  return [=](const std::vector<Tensor>& in) {
    std::vector<Tensor> outputs = all(in);
    outputs.resize(count);
    return outputs;
  };
}

void add(Cases& cases, const std::string& what, const std::vector<Tensor>& inputs, const Attributes& attributes = {},
         int outputs = 1) {
  std::vector<int> closed;  // inputs that no gradient reaches
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i] && !is_float(inputs[i].dtype())) closed.push_back(static_cast<int>(i));
  int64_t elements = 0;
  for (const Tensor& input : inputs)
    if (input) elements += input.elements();
  cases.push_back({.op = "Attention",
                   .what = what,
                   .inputs = inputs,
                   .attributes = attributes,
                   .outputs = outputs,
                   .opset = attributes.contains("left_window_size") ? 25
                            : inputs.size() > 6                     ? 24
                                                                    : 23,
                   .reference = first_outputs(attention(attributes), static_cast<size_t>(outputs)),
                   .gradient = outputs < 4 && elements < 1000,
                   .no_gradient_for = closed});
}

Tensor alternating(const Shape& shape) {
  std::vector<bool> seen;
  for (int64_t i = 0; i < shape.elements(); ++i) seen.push_back(i % 3 != 1);
  return booleans(shape, seen);
}

void add_attention(Cases& cases) {
  const Tensor q = uniform({2, 4, 3, 8}), k = uniform({2, 4, 5, 8}, -2, 2, 2), v = uniform({2, 4, 5, 6}, -2, 2, 3);
  const Tensor k2 = uniform({2, 2, 5, 8}, -2, 2, 4), v2 = uniform({2, 2, 5, 6}, -2, 2, 5);
  add(cases, "plain", {q, k, v});
  add(cases, "scaled and capped", {q, k, v}, {{"scale", 0.7f}, {"softcap", 1.5f}});
  add(cases, "groups", {q, k2, v2});
  add(cases, "causal", {q, k2, v2}, {{"is_causal", int64_t{1}}});
  add(cases, "window", {q, k2, v2}, {{"left_window_size", int64_t{1}}, {"right_window_size", int64_t{2}}});
  add(cases, "one query of a group", {uniform({2, 4, 1, 8}), k2, v2});
  add(cases, "one query of a group, masked by head", {uniform({2, 4, 1, 8}), k2, v2, uniform({4, 1, 5}, -1, 1, 9)});
  for (const Shape& mask : {Shape{5}, Shape{3, 5}, Shape{4, 3, 5}, Shape{2, 1, 1, 5}, Shape{2, 4, 3, 5}, Shape{3, 4}})
    add(cases, "mask " + to_string(mask), {q, k, v, uniform(mask, -1, 1, 9)});
  for (const Shape& mask : {Shape{3, 5}, Shape{2, 1, 3, 5}, Shape{3, 4}})
    add(cases, "bool mask " + to_string(mask), {q, k, v, alternating(mask)}, {{"is_causal", int64_t{1}}});
  add(cases, "rows without keys", {q, k, v, booleans({3, 1}, {true, false, true})}, {{"softcap", 2.0f}});
  const Tensor past_k = uniform({2, 2, 3, 8}, -2, 2, 6), past_v = uniform({2, 2, 3, 6}, -2, 2, 7);
  add(cases, "past", {q, k2, v2, Tensor(), past_k, past_v}, {{"is_causal", int64_t{1}}}, 3);
  add(cases, "empty past", {q, k2, v2, Tensor(), uniform({2, 2, 0, 8}), uniform({2, 2, 0, 6})}, {}, 3);
  add(cases, "valid keys", {q, k2, v2, Tensor(), Tensor(), Tensor(), i64({5, 2})}, {{"is_causal", int64_t{1}}});
  add(cases, "valid keys", {q, k2, v2, Tensor(), Tensor(), Tensor(), i64({4, 0})});
  const Attributes packed = {{"q_num_heads", int64_t{4}}, {"kv_num_heads", int64_t{2}}};
  const Tensor q3 = uniform({2, 3, 32}), k3 = uniform({2, 5, 16}, -2, 2, 2), v3 = uniform({2, 5, 12}, -2, 2, 3);
  add(cases, "rank 3", {q3, k3, v3}, packed);
  add(cases, "rank 3", {uniform({2, 1, 32}), k3, v3}, packed);
  add(cases, "rank 3 with past", {q3, k3, v3, uniform({3, 8}, -1, 1, 9), past_k, past_v}, packed, 3);
  for (int64_t mode : {0, 1, 2, 3})
    add(cases, "scores " + std::to_string(mode), {q, k2, v2, uniform({3, 8}, -1, 1, 9), past_k, past_v},
        {{"qk_matmul_output_mode", mode}, {"softcap", 2.0f}}, 4);
  add(cases, "scores of one query", {uniform({2, 4, 1, 8}), k2, v2}, {{"qk_matmul_output_mode", int64_t{3}}}, 4);
  // Several blocks of queries and of keys.
  const Tensor long_q = uniform({1, 2, 280, 16}, -1, 1), long_k = uniform({1, 2, 600, 16}, -1, 1, 2);
  const Tensor old_k = uniform({1, 2, 70, 16}, -1, 1, 3);
  add(cases, "long", {long_q, long_k, long_k});
  add(cases, "long causal with past", {long_q, long_q, long_q, Tensor(), old_k, old_k}, {{"is_causal", int64_t{1}}}, 3);
  add(cases, "long window", {long_k, long_k, long_k}, {{"left_window_size", int64_t{40}}, {"right_window_size", int64_t{0}}});
  add(cases, "no keys", {q, uniform({2, 4, 0, 8}), uniform({2, 4, 0, 6})});
  add(cases, "no queries", {uniform({2, 4, 0, 8}), k, v});
}

void add_attention_grad(Cases& cases) {
  const std::vector<Tensor> inputs = {uniform({1, 4, 3, 8}), uniform({1, 2, 4, 8}, -2, 2, 2), uniform({1, 2, 4, 6}, -2, 2, 3),
                                      uniform({1, 4, 3, 4}, -1, 1, 4)};
  const Attributes attributes = {{"softcap", 2.0f}};
  const Tensor dy = uniform({1, 4, 3, 6}, -1, 1, 8);
  std::vector<Tensor> grad_inputs = {dy};
  grad_inputs.insert(grad_inputs.end(), inputs.begin(), inputs.end());
  cases.push_back({.op = "tandem.AttentionGrad",
                   .what = "capped, with mask",
                   .inputs = grad_inputs,
                   .attributes = attributes,
                   .outputs = 4,
                   .reference =
                       [=](const std::vector<Tensor>& in) {
                         std::vector<Tensor> grads;
                         for (size_t i = 0; i < 4; ++i) grads.push_back(differences(attention(attributes), inputs, i, in[0]));
                         return grads;
                       },
                   .rtol = 1e-4,
                   .atol = 1e-5});
}

// The same in the terms of Attention: columns of a mask stretched, heads told, a bool mask turned.
void add_fused_attention(Cases& cases) {
  const Tensor q = uniform({2, 4, 3, 8}), k = uniform({2, 4, 5, 8}, -2, 2, 2), v = uniform({2, 4, 5, 6}, -2, 2, 3);
  const Tensor k2 = uniform({2, 2, 5, 8}, -2, 2, 4), v2 = uniform({2, 2, 5, 6}, -2, 2, 5), mask = uniform({3, 5}, -1, 1, 9);
  const auto add_one = [&](const std::string& what, std::vector<Tensor> inputs, Attributes attributes, Reference reference) {
    const bool cycles = attributes.contains("mask_cycles");
    cases.push_back({.op = "tandem.FusedAttention",
                     .what = what,
                     .inputs = std::move(inputs),
                     .attributes = std::move(attributes),
                     .reference = first_outputs(std::move(reference), 1),
                     .no_gradient_for = cycles ? std::vector<int>{3} : std::vector<int>{}});
  };
  const Attributes unscaled = {{"scale", 1.0f}};
  add_one("plain", {q, k, v}, {}, attention(unscaled));
  add_one("groups", {q, k2, v2, mask}, {{"scale", 0.5f}, {"softcap", 2.0f}}, attention({{"scale", 0.5f}, {"softcap", 2.0f}}));
  add_one("bool mask that hides, rows without keys", {q, k, v, booleans({3, 1}, {false, true, false})},
          {{"mask_hides", int64_t{1}}, {"nan_guard", int64_t{1}}}, [=](const std::vector<Tensor>& in) {
            const std::vector<bool> seen = {true, true, true, true, true, false, false, false, false, false, true, true, true, true, true};
            return attention(unscaled)({in[0], in[1], in[2], booleans({3, 5}, seen)});
          });
  const Tensor windows = uniform({6, 2, 3, 8}), window_k = uniform({6, 2, 5, 8}, -2, 2, 4), window_v = uniform({6, 2, 5, 6}, -2, 2, 5);
  add_one("masks that begin again", {windows, window_k, window_v, uniform({3, 1, 3, 5}, -1, 1, 9)}, {{"mask_cycles", int64_t{1}}},
          attention(unscaled));
  add_one("a mask a head that begins again", {windows, window_k, window_v, uniform({2, 2, 3, 1}, -1, 1, 9)}, {{"mask_cycles", int64_t{1}}},
          [=](const std::vector<Tensor>& in) {  // ONNX hides the keys beyond a mask's columns
            std::vector<float> columns;
            for (float x : in[3].as<float>()) columns.insert(columns.end(), 5, x);
            return attention(unscaled)({in[0], in[1], in[2], Tensor::of<float>({2, 2, 3, 5}, columns)});
          });
  const Attributes by_rows = {{"q_num_heads", int64_t{4}}, {"kv_num_heads", int64_t{2}}, {"scale", 1.0f}};
  const std::vector<int64_t> swap = {0, 2, 1, 3};
  add_one("rows before heads", {uniform({2, 3, 4, 8}), uniform({2, 5, 2, 8}, -2, 2, 4), uniform({2, 5, 2, 6}, -2, 2, 5), mask},
          {{"q_perm", swap}, {"k_perm", swap}, {"v_perm", swap}, {"y_perm", swap}}, [=](const std::vector<Tensor>& in) {
            const auto flat = [](const Tensor& x) { return x.reshaped({x.shape()[0], x.shape()[1], x.shape()[2] * x.shape()[3]}); };
            return std::vector{attention(by_rows)({flat(in[0]), flat(in[1]), flat(in[2]), in[3]})[0].reshaped({2, 3, 4, 6})};
          });
}

// What only gradients tell apart: operands that broadcast, rows of K last in memory, and scores that a mask replaces by numbers.
void add_fused_attention_gradients(Cases& cases) {
  const auto add_one = [&](const std::string& what, std::vector<Tensor> inputs, Attributes attributes) {
    cases.push_back({.op = "tandem.FusedAttention", .what = what, .inputs = std::move(inputs), .attributes = std::move(attributes)});
  };
  const Tensor q = uniform({2, 2, 3, 4}), k = uniform({1, 1, 5, 4}, -2, 2, 2), v = uniform({2, 1, 5, 6}, -2, 2, 3);
  add_one("broadcast keys and mask", {q, k, v, uniform({3, 1}, -1, 1, 4)}, {{"scale", 0.5f}});
  add_one("broadcast queries", {uniform({1, 1, 3, 4}), uniform({2, 2, 5, 4}, -2, 2, 2), uniform({2, 2, 5, 6}, -2, 2, 3)}, {});
  add_one("three axes, rows of K last", {uniform({2, 3, 4}), uniform({2, 4, 5}, -2, 2, 2), uniform({2, 5, 6}, -2, 2, 3)},
          {{"k_perm", std::vector<int64_t>{0, 2, 1}}});
  const Tensor seen = booleans({3, 5}, {true, true, false, true, true, false, false, false, false, false, true, false, true, false, true});
  const Tensor bias = uniform({2, 3, 5}, -1, 1, 7), full_k = uniform({2, 2, 5, 4}, -2, 2, 2), full_v = uniform({2, 2, 5, 6}, -2, 2, 3);
  add_one("a bias, then scores replaced", {q, full_k, full_v, bias, seen}, {{"hidden", -1.5f}});
  add_one("scores replaced, then a bias", {q, full_k, full_v, seen, bias}, {{"hidden", -1.5f}, {"softcap", 2.0f}});
}

// dq, dk and dv in double, by the whole matrices; in: dy, q, k, v, bool mask [queries, keys]; one head, no scale.
std::vector<Tensor> dense_attention_gradients(const std::vector<Tensor>& in) {
  const std::vector<double> dy = numbers(in[0]), q = numbers(in[1]), k = numbers(in[2]), v = numbers(in[3]), mask = numbers(in[4]);
  const auto rows = static_cast<size_t>(in[1].shape()[0]), size = static_cast<size_t>(in[1].shape()[1]);
  const auto keys = static_cast<size_t>(in[2].shape()[0]), width = static_cast<size_t>(in[3].shape()[1]);
  const auto dot = [](const double* a, const double* b, size_t n) { return std::inner_product(a, a + n, b, 0.0); };
  std::vector<double> dq(q.size()), dk(k.size()), dv(v.size());
  for (size_t i = 0; i < rows; ++i) {
    std::vector<double> p(keys), dp(keys);
    double sum = 0, mean = 0;
    for (size_t j = 0; j < keys; ++j) sum += p[j] = mask[i * keys + j] != 0 ? std::exp(dot(&q[i * size], &k[j * size], size)) : 0;
    for (size_t j = 0; j < keys; ++j) mean += (p[j] /= sum) * (dp[j] = dot(&dy[i * width], &v[j * width], width));
    for (size_t j = 0; j < keys; ++j) {
      const double ds = p[j] * (dp[j] - mean);
      for (size_t d = 0; d < size; ++d) dq[i * size + d] += ds * k[j * size + d], dk[j * size + d] += ds * q[i * size + d];
      for (size_t d = 0; d < width; ++d) dv[j * width + d] += p[j] * dy[i * width + d];
    }
  }
  return {f64(in[1].shape(), dq), f64(in[2].shape(), dk), f64(in[3].shape(), dv)};
}

void add_fused_attention_grad(Cases& cases) {
  const int64_t rows = 210;  // several blocks, of which the first see few keys
  std::vector<bool> causal;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < rows; ++j) causal.push_back(j <= i);
  cases.push_back({.op = "tandem.FusedAttentionGrad",
                   .what = "causal by a mask",
                   .inputs = {uniform({rows, 6}, -1, 1, 8), uniform({rows, 4}), uniform({rows, 4}, -1, 1, 2), uniform({rows, 6}, -2, 2, 3),
                              booleans({rows, rows}, causal)},
                   .outputs = 3,
                   .reference = dense_attention_gradients,
                   .rtol = 1e-4,
                   .atol = 1e-5});
}

// A body of one tensor that is one op.
Subgraph body_of_one(const std::string& op) {
  auto body = std::make_shared<Graph>();
  body->opsets[""] = kOnnxOpset;
  const ValueId x = body->add_input("scores", DType::kF32, Dims(4));
  body->outputs = body->add_node(newest_op(op), {x}, 1);
  return body;
}

void add_flex_attention(Cases& cases) {
  const std::vector<Tensor> inputs = {uniform({2, 4, 3, 8}), uniform({2, 2, 5, 8}, -2, 2, 4), uniform({2, 2, 5, 6}, -2, 2, 5)};
  const auto add_one = [&](const std::string& what, const Attributes& attributes, const Attributes& meant) {
    cases.push_back({.op = "ai.onnx.preview.FlexAttention",
                     .what = what,
                     .inputs = inputs,
                     .attributes = attributes,
                     .reference = first_outputs(attention(meant), 1)});
  };
  add_one("plain", {}, {});
  add_one("scaled, in double", {{"scale", 0.5f}, {"softmax_precision", int64_t{11}}}, {{"scale", 0.5f}});
  add_one("scores through a body", {{"score_mod", body_of_one("Tanh")}}, {{"softcap", 1.0f}});
  add_one("probabilities through a body", {{"prob_mod", body_of_one("Identity")}}, {});
}

// (x, cos, sin, positions) -> y
Reference rotary(const Attributes& attributes) {
  return [attributes](const std::vector<Tensor>& in) {
    const int64_t heads = integer(attributes, "num_heads", 0);
    const Tensor x = by_head(in[0], heads);
    const int64_t rows = x.shape()[2], size = x.shape()[3], given = integer(attributes, "rotary_embedding_dim", 0);
    const int64_t half = (given != 0 ? given : size) / 2;
    const bool interleaved = integer(attributes, "interleaved", 0) != 0;
    const std::vector<double> cos = numbers(in[1]), sin = numbers(in[2]);
    std::vector<double> y = numbers(x);
    for (int64_t row = 0; row < x.elements() / size; ++row) {
      const int64_t position = row / (rows * x.shape()[1]) * rows + row % rows;
      const auto angle = in.size() > 3 ? static_cast<int64_t>(numbers(in[3])[static_cast<size_t>(position)]) : position;
      for (int64_t i = 0; i < half; ++i) {
        double &a = y[static_cast<size_t>(row * size + (interleaved ? 2 * i : i))],
               &b = y[static_cast<size_t>(row * size + (interleaved ? 2 * i + 1 : i + half))];
        const std::complex<double> turned = std::complex(a, b) * std::complex(cos[static_cast<size_t>(angle * half + i)],
                                                                              sin[static_cast<size_t>(angle * half + i)]);
        a = turned.real(), b = turned.imag();
      }
    }
    const Tensor result = f64(x.shape(), y);
    return std::vector{in[0].shape().rank() == 3 ? by_row(result) : result};
  };
}

void add_rotary(Cases& cases) {
  const auto add_one = [&](const std::string& what, std::vector<Tensor> inputs, Attributes attributes) {
    cases.push_back({.op = "RotaryEmbedding",
                     .what = what,
                     .inputs = std::move(inputs),
                     .attributes = attributes,
                     .reference = rotary(attributes),
                     .no_gradient_for = {1, 2}});
  };
  const Tensor positions = i64({2, 3}, {4, 0, 2, 1, 1, 5});
  for (int64_t interleaved : {0, 1}) {
    const Attributes whole = {{"interleaved", interleaved}};
    const Attributes part = {{"interleaved", interleaved}, {"rotary_embedding_dim", int64_t{4}}, {"num_heads", int64_t{5}}};
    add_one("whole", {uniform({2, 5, 3, 8}), uniform({2, 3, 4}, -1, 1, 2), uniform({2, 3, 4}, -1, 1, 3)}, whole);
    add_one("positions", {uniform({2, 5, 3, 8}), uniform({6, 4}, -1, 1, 2), uniform({6, 4}, -1, 1, 3), positions}, whole);
    add_one("part, rank 3", {uniform({2, 3, 40}), uniform({6, 2}, -1, 1, 2), uniform({6, 2}, -1, 1, 3), positions}, part);
  }
  add_one("large", {uniform({2, 5, 60, 64}), uniform({2, 60, 32}, -1, 1, 2), uniform({2, 60, 32}, -1, 1, 3)}, {});
  cases.back().gradient = false;
}

// (x, cos, sin) -> x * cos + (-second half, first half) * sin, or with neighbours in the place of halves; cos and sin lack axes of x in front,
// or have 1s.
std::vector<Tensor> rotated(const std::vector<Tensor>& in, bool pairs) {
  const Shape &x = in[0].shape(), &angles = in[1].shape();
  const std::vector<double> values = numbers(in[0]), cos = numbers(in[1]), sin = numbers(in[2]);
  const auto size = static_cast<size_t>(x[x.rank() - 1]);
  std::vector<double> y(values.size());
  for (size_t at = 0; at < y.size(); ++at) {
    size_t rest = at, angle = 0, stride = 1;
    for (int axis = x.rank() - 1, own = angles.rank() - 1; own >= 0; --axis, --own) {
      angle += rest % static_cast<size_t>(x[axis]) % static_cast<size_t>(angles[own]) * stride;
      rest /= static_cast<size_t>(x[axis]);
      stride *= static_cast<size_t>(angles[own]);
    }
    const size_t apart = pairs ? 1 : size / 2;
    const bool second = pairs ? at % 2 == 1 : at % size >= size / 2;
    y[at] = values[at] * cos[angle] + (second ? values[at - apart] : -values[at + apart]) * sin[angle];
  }
  return {f64(x, y)};
}

void add_rotations(Cases& cases) {
  const auto add_one = [&](const std::string& what, const Shape& x, const Shape& angles) {
    for (const bool pairs : {false, true})
      cases.push_back({.op = pairs ? "tandem.RotatePairs" : "tandem.RotateHalves",
                       .what = what,
                       .inputs = {uniform(x), uniform(angles, -1, 1, 2), uniform(angles, -1, 1, 3)},
                       .reference = [=](const std::vector<Tensor>& in) { return rotated(in, pairs); }});
  };
  add_one("angles by row", {2, 3, 5, 8}, {1, 1, 5, 8});
  add_one("rows before heads", {2, 5, 3, 6}, {5, 1, 6});
  add_one("angles by batch", {2, 3, 5, 2}, {2, 1, 5, 2});
  add_one("one vector", {10}, {10});
  add_one("nothing", {2, 0, 4}, {1, 0, 4});
  add_one("large", {2, 5, 60, 64}, {60, 64});
}

void add_tensor_scatter(Cases& cases) {
  const auto reference = [](bool circular) {
    return [=](const std::vector<Tensor>& in) {
      const Shape &cache = in[0].shape(), &update = in[1].shape();
      std::vector<double> y = numbers(in[0]);
      const std::vector<double> rows = numbers(in[1]);
      for (int64_t p = 0; p < cache[0] * cache[1]; ++p)
        for (int64_t r = 0; r < update[2]; ++r) {
          const int64_t first = in.size() > 2 ? static_cast<int64_t>(numbers(in[2])[static_cast<size_t>(p / cache[1])]) : 0;
          const int64_t at = circular ? (first + r) % cache[2] : first + r;
          for (int64_t i = 0; i < cache[3]; ++i)
            y[static_cast<size_t>((p * cache[2] + at) * cache[3] + i)] =
                rows[static_cast<size_t>((p * update[2] + r) * cache[3] + i)];
        }
      return std::vector{f64(cache, y)};
    };
  };
  const Tensor cache = uniform({2, 3, 7, 5}), update = uniform({2, 3, 2, 5}, 5, 6, 2);
  cases.push_back({.op = "TensorScatter", .what = "at the start", .inputs = {cache, update}, .reference = reference(false)});
  cases.push_back(
      {.op = "TensorScatter", .what = "placed", .inputs = {cache, update, i64({5, 1})}, .reference = reference(false)});
  cases.push_back({.op = "TensorScatter",
                   .what = "circular",
                   .inputs = {cache, update, i64({6, 15})},
                   .attributes = {{"mode", std::string("circular")}, {"axis", int64_t{2}}},
                   .reference = reference(true)});
}

}  // namespace

void add_attention_cases(Cases& cases) {
  add_attention(cases);
  add_attention_grad(cases);
  add_fused_attention(cases);
  add_fused_attention_gradients(cases);
  add_fused_attention_grad(cases);
  add_flex_attention(cases);
  add_rotary(cases);
  add_rotations(cases);
  add_tensor_scatter(cases);
}

}  // namespace tandem::conformance
