// What the conformance cases do not reach: workspaces that were sized for larger shapes, and bits that depend on nothing but the
// row.
#include "kernels/api/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

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
