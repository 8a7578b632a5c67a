// LinearAttention against its recurrence, number by number.
#include <cmath>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

// (query, key, value, past, decay, beta) -> output, present state.
Reference recurrence(int64_t query_heads, int64_t heads, double given_scale) {
  return [=](const std::vector<Tensor>& in) {
    const int64_t batch = in[0].shape()[0], steps = in[0].shape()[1], k = in[0].shape()[2] / query_heads,
                  v = in[2].shape()[2] / heads;
    const double scale = given_scale != 0 ? given_scale : 1 / std::sqrt(static_cast<double>(k));
    const auto input = [&](size_t i) { return in.size() > i && in[i] ? numbers(in[i]) : std::vector<double>(); };
    const std::vector<double> q = input(0), ks = input(1), vs = input(2), decay = input(4), beta = input(5);
    std::vector<double> state = input(3);
    state.resize(static_cast<size_t>(batch * heads * k * v));
    std::vector<double> y(static_cast<size_t>(batch * steps * query_heads * v));
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t t = 0; t < steps; ++t)
        for (int64_t h = 0; h < query_heads; ++h) {
          const int64_t group = query_heads / heads, head = h / group, row = b * steps + t;
          const auto s = [&](int64_t i, int64_t j) -> double& {
            return state[static_cast<size_t>(((b * heads + head) * k + i) * v + j)];
          };
          const auto key = [&](int64_t i) { return ks[static_cast<size_t>((row * heads + head) * k + i)]; };
          if (h % group == 0) {
            for (int64_t i = 0; i < k && !decay.empty(); ++i) {
              const int64_t each = in[4].shape()[2] / heads;
              for (int64_t j = 0; j < v; ++j)
                s(i, j) *= std::exp(decay[static_cast<size_t>((row * heads + head) * each + (each == 1 ? 0 : i))]);
            }
            std::vector<double> written;
            for (int64_t j = 0; j < v; ++j) {
              double found = 0;
              for (int64_t i = 0; i < k; ++i) found += s(i, j) * key(i);
              const double value = vs[static_cast<size_t>((row * heads + head) * v + j)];
              if (beta.empty())
                written.push_back(value);
              else
                written.push_back(beta[static_cast<size_t>(in[5].shape()[2] == 1 ? row : row * heads + head)] * (value - found));
            }
            for (int64_t i = 0; i < k; ++i)
              for (int64_t j = 0; j < v; ++j) s(i, j) += key(i) * written[static_cast<size_t>(j)];
          }
          for (int64_t i = 0; i < k; ++i)
            for (int64_t j = 0; j < v; ++j)
              y[static_cast<size_t>((row * query_heads + h) * v + j)] +=
                  scale * q[static_cast<size_t>((row * query_heads + h) * k + i)] * s(i, j);
        }
    return std::vector{f64({batch, steps, query_heads * v}, y), f64({batch, heads, k, v}, state)};
  };
}

}  // namespace

void add_linear_attention_cases(Cases& cases) {
  const Tensor q = uniform({2, 5, 24}), k = uniform({2, 5, 12}, -0.5, 0.5, 2), v = uniform({2, 5, 10}, -1, 1, 3);
  const Tensor past = uniform({2, 2, 6, 5}, -1, 1, 4), none;
  const auto add = [&](const std::string& rule, std::vector<Tensor> inputs, float scale = 0) {
    cases.push_back(
        {.op = "LinearAttention",
         .what = rule,
         .inputs = std::move(inputs),
         .attributes = {{"q_num_heads", int64_t{4}}, {"kv_num_heads", int64_t{2}}, {"update_rule", rule}, {"scale", scale}},
         .outputs = 2,
         .reference = recurrence(4, 2, static_cast<double>(scale))});
  };
  const Tensor by_head = uniform({2, 5, 2}, -1, 0, 5), by_key = uniform({2, 5, 12}, -1, 0, 6), one = uniform({2, 5, 1}, 0, 1, 7);
  add("linear", {q, k, v});
  add("linear", {q, k, v, past}, 0.3f);
  add("gated", {q, k, v, past, by_head});
  add("gated", {q, k, v, none, by_key});
  add("delta", {q, k, v, past, none, one});
  add("gated_delta", {q, k, v, past, by_key, uniform({2, 5, 2}, 0, 1, 8)});
}

}  // namespace tandem::conformance
