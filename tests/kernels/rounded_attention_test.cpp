// Attention of f32 whose products round what they read to bf16, and its gradient, beside the definition in double on rounded operands; operands,
// results and workspaces end at an unmapped page.
//
// Weights and gradients of scores are rounded too, each by at most 2^-8 of itself: results may be that share of the sum of their terms' sizes away,
// and what f32 adds to it.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/api/attention.h"
#include "kernels/base/half.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::Guarded, test::GuardedMemory;

constexpr double kHalfUnit = 0x1p-8, kF32 = 2e-5;  // bf16 has 8 significant bits

double rounded(float x) { return static_cast<double>(to_float(to_bf16(x))); }

// A number, and how far it may be away from it.
struct Expected {
  double value = 0, size = 0;
  void add(double term) { value += term, size += std::abs(term); }
};
using Matrix = std::vector<Expected>;

struct Problem {
  int64_t heads, queries, keys, size, values;
  bool causal, k_rows_last;
  double softcap;
  Guarded<float> q, k, v, mask, dy;

  Problem(int64_t heads, int64_t queries, int64_t keys, int64_t size, int64_t values, bool causal, bool k_rows_last, double softcap)
      : heads(heads), queries(queries), keys(keys), size(size), values(values), causal(causal), k_rows_last(k_rows_last), softcap(softcap),
        q(Guarded<float>::random(heads * queries * size, 1)), k(Guarded<float>::random(heads * keys * size, 2)),
        v(Guarded<float>::random(heads * keys * values, 3)), mask(Guarded<float>::random(queries * keys, 4)),
        dy(Guarded<float>::random(heads * queries * values, 5)) {}

  static TensorView view(const Guarded<float>& x, const Shape& shape) { return {reinterpret_cast<std::byte*>(x.data()), DType::kF32, shape}; }
  Shape k_shape() const { return k_rows_last ? Shape{1, heads, size, keys} : Shape{1, heads, keys, size}; }
  AttentionOptions options() const {
    AttentionOptions options;
    options.scale = 0.3, options.softcap = softcap, options.causal = causal, options.rounded = true;
    return options;
  }
  AttentionInputs inputs() const {
    AttentionInputs in;
    in.q = view(q, {1, heads, queries, size}), in.k = view(k, k_shape()), in.v = view(v, {1, heads, keys, values});
    in.mask = view(mask, {queries, keys});
    return in;
  }
  AttentionGeometry geometry() const {
    AttentionPerms perms;
    if (k_rows_last) perms.k = {0, 1, 3, 2};
    const AttentionInputs in = inputs();
    return broadcast_attention_geometry(perms, in.q.shape, in.k.shape, in.v.shape, in.mask.shape, {});
  }

  double q_at(int64_t h, int64_t i, int64_t d) const { return rounded(q[(h * queries + i) * size + d]); }
  int64_t k_index(int64_t h, int64_t j, int64_t d) const { return h * keys * size + (k_rows_last ? d * keys + j : j * size + d); }
  double v_at(int64_t h, int64_t j, int64_t d) const { return rounded(v[(h * keys + j) * values + d]); }
  double dy_at(int64_t h, int64_t i, int64_t d) const { return rounded(dy[(h * queries + i) * values + d]); }

  struct Row {
    std::vector<double> p, capped;  // of the keys that a query sees
  };
  Row row(int64_t h, int64_t i) const {
    Row r;
    double sum = 0;
    for (int64_t j = 0; j < (causal ? std::min(keys, i + 1) : keys); ++j) {
      double score = 0;
      for (int64_t d = 0; d < size; ++d) score += q_at(h, i, d) * rounded(k[k_index(h, j, d)]);
      score *= 0.3;
      if (softcap > 0) score = softcap * std::tanh(score / softcap);
      r.capped.push_back(score);
      r.p.push_back(std::exp(score + static_cast<double>(mask[i * keys + j])));
      sum += r.p.back();
    }
    for (double& p : r.p) p /= sum;
    return r;
  }

  Matrix result() const {
    Matrix y(static_cast<size_t>(heads * queries * values));
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < queries; ++i) {
        const Row r = row(h, i);
        for (size_t j = 0; j < r.p.size(); ++j)
          for (int64_t d = 0; d < values; ++d) y[static_cast<size_t>((h * queries + i) * values + d)].add(r.p[j] * v_at(h, static_cast<int64_t>(j), d));
      }
    return y;
  }

  struct Gradients {
    Matrix dq, dk, dv;
  };
  Gradients gradients() const {
    Gradients g{Matrix(static_cast<size_t>(q.size())), Matrix(static_cast<size_t>(k.size())), Matrix(static_cast<size_t>(v.size()))};
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < queries; ++i) {
        const Row r = row(h, i);
        std::vector<double> dp(r.p.size());
        double mean = 0;
        for (size_t j = 0; j < dp.size(); ++j) {
          for (int64_t d = 0; d < values; ++d) dp[j] += dy_at(h, i, d) * v_at(h, static_cast<int64_t>(j), d);
          mean += r.p[j] * dp[j];
        }
        for (size_t column = 0; column < dp.size(); ++column) {
          const auto j = static_cast<int64_t>(column);
          const double slope = softcap > 0 ? 1 - std::pow(r.capped[column] / softcap, 2) : 1, dr = 0.3 * slope * r.p[column] * (dp[column] - mean);
          for (int64_t d = 0; d < size; ++d) {
            g.dq[static_cast<size_t>((h * queries + i) * size + d)].add(dr * rounded(k[k_index(h, j, d)]));
            g.dk[static_cast<size_t>(k_index(h, j, d))].add(dr * q_at(h, i, d));
          }
          for (int64_t d = 0; d < values; ++d) g.dv[static_cast<size_t>((h * keys + j) * values + d)].add(r.p[column] * dy_at(h, i, d));
        }
      }
    return g;
  }
};

void expect_near(const Guarded<float>& x, const Matrix& expected, const char* what) {
  for (int64_t i = 0; i < x.size(); ++i) {
    const Expected& e = expected[static_cast<size_t>(i)];
    ASSERT_NEAR(static_cast<double>(x[i]), e.value, kHalfUnit * e.size + kF32) << what << ' ' << i;
  }
}

std::vector<float> numbers(const Guarded<float>& x) { return {x.data(), x.data() + x.size()}; }

void check(const Problem& p) {
  SCOPED_TRACE(testing::Message() << p.heads << " heads, " << p.queries << " queries, " << p.keys << " keys of " << p.size << ", values of " << p.values
                                  << (p.causal ? ", causal" : "") << (p.k_rows_last ? ", rows of K last" : "") << ", softcap " << p.softcap);
  const Matrix y = p.result();
  const Problem::Gradients g = p.gradients();
  const AttentionGeometry of = p.geometry();
  std::vector<std::vector<float>> first;
  for (const int threads : {1, 2, 3}) {
    const Guarded<float> to(p.dy.size(), -77), dq(p.q.size(), -77), dk(p.k.size(), -77), dv(p.v.size(), -77);
    const GuardedMemory forward(attention_workspace(DType::kF32, of, false, threads, true));
    const GuardedMemory backward(attention_grad_workspace(DType::kF32, of, threads, true));
    const Shape ys{1, p.heads, p.queries, p.values};
    attention({.threads = threads, .workspace = forward.bytes()}, p.options(), of, p.inputs(), {Problem::view(to, ys), {}, {}, {}});
    const AttentionInputs in = p.inputs();
    attention_grad({.threads = threads, .workspace = backward.bytes()}, p.options(), of, of, in, Problem::view(p.dy, ys),
                   {Problem::view(dq, in.q.shape), Problem::view(dk, in.k.shape), Problem::view(dv, in.v.shape), {}});
    const std::vector<std::vector<float>> all = {numbers(to), numbers(dq), numbers(dk), numbers(dv)};
    if (threads > 1) EXPECT_EQ(all, first) << threads << " threads";
    else first = all;
    expect_near(to, y, "y"), expect_near(dq, g.dq, "dq"), expect_near(dk, g.dk, "dk"), expect_near(dv, g.dv, "dv");
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(RoundedAttention, EqualsTheDefinitionOnRoundedOperands) {
  for (const bool causal : {false, true})
    for (const bool k_rows_last : {false, true})
      for (const double softcap : {0.0, 1.5}) {
        check({1, 1, 1, 1, 1, causal, k_rows_last, softcap});
        check({3, 5, 19, 7, 3, causal, k_rows_last, softcap});
        check({2, 130, 140, 33, 16, causal, k_rows_last, softcap});  // several blocks of queries
        check({1, 200, 300, 16, 40, causal, k_rows_last, softcap});  // and of keys
      }
}

TEST(RoundedAttention, WorkspaceServesFewerQueriesAndKeys) {
  const auto bytes = [](int64_t queries, int64_t keys) {
    const Shape q{1, 2, queries, 24}, k{1, 2, keys, 24};
    const AttentionGeometry of = attention_geometry({}, q, k, k, {}, {});
    return std::pair(attention_workspace(DType::kF32, of, false, 1, true), attention_grad_workspace(DType::kF32, of, 1, true));
  };
  const auto most = bytes(210, 300);
  for (const int64_t queries : {1, 2, 15, 95, 96, 97, 192, 210})
    for (const int64_t keys : {1, 16, 17, 255, 256, 257, 300}) {
      EXPECT_LE(bytes(queries, keys).first, most.first) << queries << ' ' << keys;
      EXPECT_LE(bytes(queries, keys).second, most.second) << queries << ' ' << keys;
    }
}

}  // namespace
}  // namespace tandem::cpu
