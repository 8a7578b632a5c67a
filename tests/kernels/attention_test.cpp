// What the conformance cases do not reach: workspaces that were sized for larger shapes, and bits that depend on nothing but the
// row.
#include "kernels/api/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <limits>
#include <memory>

#include "kernels/api/fourier.h"
#include "kernels/api/recurrent.h"

namespace tandem {
namespace {

Shape heads(int64_t batch, int64_t count, int64_t rows, int64_t size) { return {batch, count, rows, size}; }

std::vector<float> values(int64_t count, int step) {
  std::vector<float> all;
  for (int64_t i = 0; i < count; ++i) all.push_back(static_cast<float>((i * step) % 97) / 97 - 0.5f);
  return all;
}

template <class T>
TensorView view_of(std::vector<T>& memory, const Shape& shape) {
  return {reinterpret_cast<std::byte*>(memory.data()), dtype_of<T>, shape};
}

std::vector<float> attend(const AttentionOptions& options, int64_t batch, int64_t queries, int64_t first_query, int64_t keys) {
  constexpr int64_t kHeads = 2, kSize = 8, kMost = 400;
  std::vector<float> all_q = values(kHeads * kMost * kSize, 31), k = values(kHeads * keys * kSize, 17),
                     v = values(kHeads * keys * kSize, 7), q;
  for (int64_t h = 0; h < batch * kHeads; ++h) {
    const auto from = all_q.begin() + (h % kHeads * kMost + first_query) * kSize;
    q.insert(q.end(), from, from + queries * kSize);
  }
  for (int64_t b = 1; b < batch; ++b) {
    k.insert(k.end(), k.begin(), k.begin() + kHeads * keys * kSize);
    v.insert(v.end(), v.begin(), v.begin() + kHeads * keys * kSize);
  }
  std::vector<float> y(static_cast<size_t>(batch * kHeads * queries * kSize));
  const Shape qs = heads(batch, kHeads, queries, kSize), ks = heads(batch, kHeads, keys, kSize);
  std::vector<std::byte> memory(cpu::attention_workspace(DType::kF32, attention_geometry(options, qs, ks, ks, {}, {}), false, 2));
  AttentionInputs in;
  in.q = view_of(q, qs), in.k = view_of(k, ks), in.v = view_of(v, ks);
  AttentionOutputs out;
  out.y = view_of(y, qs);
  cpu::attention({.threads = 2, .workspace = memory}, options, in, out);
  return y;
}

TEST(Attention, WorkspaceServesFewerQueries) {
  AttentionOptions options;
  for (int64_t queries : {2, 3, 5, 200}) {
    const auto bytes = [&](int64_t n) {
      const Shape q = heads(1, 16, n, 8), k = heads(1, 2, 300, 8);
      return cpu::attention_workspace(DType::kF32, attention_geometry(options, q, k, k, {}, {}), false, 1);
    };
    for (int64_t fewer = 1; fewer < queries; ++fewer) EXPECT_LE(bytes(fewer), bytes(queries)) << fewer << " of " << queries;
  }
}

TEST(Attention, ARowsBitsDependOnTheRowAlone) {
  const AttentionOptions options;
  const std::vector<float> all = attend(options, 2, 400, 0, 700), some = attend(options, 1, 10, 150, 700);
  for (size_t i = 0; i < 80; ++i) ASSERT_EQ(all[150 * 8 + i], some[i]) << i;
}

// Under a mask of numbers, or of truth, that hides all keys from 12 on.
std::vector<float> masked(TensorView mask, int64_t keys) {
  constexpr int64_t kQueries = 3, kSize = 4, kStored = 40;
  std::vector<float> q = values(kQueries * kSize, 31), k = values(kStored * kSize, 17), v = values(kStored * kSize, 7), y(kQueries * kSize);
  AttentionInputs in;
  in.q = view_of(q, heads(1, 1, kQueries, kSize)), in.k = view_of(k, heads(1, 1, keys, kSize)), in.v = view_of(v, heads(1, 1, keys, kSize));
  in.mask = mask;
  AttentionOutputs out;
  out.y = view_of(y, heads(1, 1, kQueries, kSize));
  std::vector<std::byte> memory(cpu::attention_workspace(DType::kF32, attention_geometry({}, in.q.shape, in.k.shape, in.v.shape, {}, {}), false, 1));
  cpu::attention({.workspace = memory}, {}, in, out);
  return y;
}

TEST(Attention, KeysThatAMaskHidesFromAllAreLeftOutButNoNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> all(3 * 40, -kInfinity), few(3 * 12, -kInfinity);
  const std::unique_ptr<bool[]> seen(new bool[3 * 40]());
  for (size_t r = 0; r < 3; ++r)
    for (size_t j = 0; j < 10 + r; ++j) all[r * 40 + j] = few[r * 12 + j] = 0, seen[r * 40 + j] = true;
  const std::vector<float> y = masked(view_of(all, {3, 40}), 40);
  for (float x : y) ASSERT_TRUE(std::isfinite(x));
  EXPECT_EQ(y, masked({reinterpret_cast<std::byte*>(seen.get()), DType::kBool, {3, 40}}, 40));
  const std::vector<float> fewer = masked(view_of(few, {3, 12}), 12);
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], fewer[i], 1e-6) << i;
  all[40 + 39] = std::nanf("");
  const std::vector<float> spoilt = masked(view_of(all, {3, 40}), 40);
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(spoilt[i]), i / 4 == 1) << i;
}

// Blocks of queries are cut by what the first head's mask hides. 200 queries are blocks of 50 under a causal mask.
TEST(Attention, ABatchsBitsDoNotDependOnTheMaskOfAnother) {
  constexpr int64_t kQueries = 200, kSize = 8;
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  const auto second_of = [&](bool first_is_causal) {
    std::vector<float> q = values(2 * kQueries * kSize, 31), k = values(2 * kQueries * kSize, 17), v = values(2 * kQueries * kSize, 7),
                       mask(2 * kQueries * kQueries), y(q.size());
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t r = 0; r < kQueries; ++r)
        for (int64_t j = r + 1; j < kQueries; ++j)
          if (b == 1 || first_is_causal) mask[static_cast<size_t>((b * kQueries + r) * kQueries + j)] = kHidden;
    AttentionInputs in;
    in.q = view_of(q, heads(2, 1, kQueries, kSize)), in.k = view_of(k, heads(2, 1, kQueries, kSize)), in.v = view_of(v, heads(2, 1, kQueries, kSize));
    in.mask = view_of(mask, heads(2, 1, kQueries, kQueries));
    AttentionOutputs out;
    out.y = view_of(y, heads(2, 1, kQueries, kSize));
    std::vector<std::byte> memory(cpu::attention_workspace(DType::kF32, attention_geometry({}, in.q.shape, in.k.shape, in.v.shape, {}, {}), false, 1));
    cpu::attention({.workspace = memory}, {}, in, out);
    return std::vector<float>(y.begin() + kQueries * kSize, y.end());
  };
  EXPECT_EQ(second_of(true), second_of(false));
}

TEST(Fourier, WorkspaceServesShorterTransforms) {
  for (int64_t length : {1, 2, 16, 64, 100})
    for (int64_t shorter = 0; shorter <= length; ++shorter) {
      const cpu::FourierPlan plan(shorter);
      EXPECT_LE(static_cast<size_t>(plan.length() + plan.scratch()) * sizeof(std::complex<double>),
                cpu::fourier_workspace(length, 1));
    }
}

TEST(Recurrent, WorkspaceServesShorterSequences) {
  RecurrentOptions options;
  options.cell = RecurrentCell::kLstm;
  const auto bytes = [&](int64_t steps, int64_t batch) {
    return cpu::recurrent_workspace(DType::kF32, options,
                                    {.steps = steps, .batch = batch, .inputs = 7, .hidden = 9, .directions = 1, .gates = 4}, 2);
  };
  for (int64_t steps : {1, 5, 40})
    for (int64_t batch : {1, 3, 17}) EXPECT_LE(bytes(steps, batch), bytes(40, 17));
}

}  // namespace
}  // namespace tandem
