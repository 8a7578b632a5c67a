// Operands, results, packed weights' epilogues and workspaces that end at an unmapped page, at every tier, with the numbers checked beside a
// product in double: the shapes end inside vectors, tiles and panels, of the wide tile for many columns too.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/api/attention.h"
#include "kernels/api/gemm.h"
#include "kernels/api/packed_workspace.h"
#include "tests/kernels/float_tiers.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::Guarded, test::GuardedMemory;

class GuardedProducts : public testing::TestWithParam<Isa> {
  void SetUp() override {
    if (!machine_has(GetParam())) GTEST_SKIP() << "this machine lacks " << name(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(All, GuardedProducts, testing::ValuesIn(float_tiers()),
                         [](const auto& info) { return std::string(name(info.param)); });

// The elements that a strided matrix really has: its last row has no slack.
int64_t extent(int64_t rows, int64_t columns, int64_t stride) { return rows == 0 || columns == 0 ? 0 : (rows - 1) * stride + columns; }

struct GuardedProduct {
  GemmShape s;
  int64_t slack;  // elements between rows
  Guarded<float> a, b, c, addend, bias;
  GemmArgs<float> args;

  GuardedProduct(const GemmShape& shape, int64_t slack)
      : s(shape),
        slack(slack),
        a(Guarded<float>::random(shape.transpose_a ? extent(s.k, s.m, s.m + slack) : extent(s.m, s.k, s.k + slack), 1)),
        b(Guarded<float>::random(shape.transpose_b ? extent(s.n, s.k, s.k + slack) : extent(s.k, s.n, s.n + slack), 2)),
        c(extent(s.m, s.n, s.n + slack), -77),
        addend(Guarded<float>::random(extent(s.m, s.n, s.n), 3)),
        bias(Guarded<float>::random(s.n, 4)) {
    args.a = a.data(), args.lda = (s.transpose_a ? s.m : s.k) + slack;
    args.b = b.data(), args.ldb = (s.transpose_b ? s.k : s.n) + slack;
    args.c = c.data(), args.ldc = s.n + slack;
    args.addend = addend.data(), args.ld_addend = s.n;
    args.bias = bias.data();
    args.activation = {UnaryOp::kRelu};
  }

  void run(int threads, Isa isa) const {
    const GuardedMemory workspace(args.packed_b ? gemm_workspace_with_packed_b<float>(s, threads, isa)
                                                : gemm_workspace_bytes<float>(s, threads, isa));
    KernelContext context;
    context.threads = threads, context.workspace = workspace.bytes();
    gemm(context, s, args, isa);
  }

  void expect_right() const {
    for (int64_t i = 0; i < s.m; ++i)
      for (int64_t j = 0; j < s.n; ++j) {
        double sum = double(addend[i * s.n + j]) + double(bias[j]);
        for (int64_t k = 0; k < s.k; ++k)
          sum += double(s.transpose_a ? a[k * args.lda + i] : a[i * args.lda + k]) * double(s.transpose_b ? b[j * args.ldb + k] : b[k * args.ldb + j]);
        const double bound = 1e-6 * (4 + std::sqrt(static_cast<double>(s.k)));
        ASSERT_NEAR(double(c[i * args.ldc + j]), std::max(0.0, sum), bound * std::max(1.0, std::abs(sum)))
            << s.m << " x " << s.n << " x " << s.k << ", element " << i << ", " << j;
      }
  }
};

const GemmShape kShapes[] = {{1, 1, 1},    {1, 1, 0},     {3, 5, 0},    {1, 50, 33},  {2, 17, 7},   {5, 33, 20},    {7, 96, 65},   {9, 481, 40},
                             {10, 511, 9}, {13, 530, 17}, {16, 640, 5}, {25, 31, 401}, {40, 99, 18}, {19, 500, 390}, {300, 485, 10}, {1, 2400, 3}};

TEST_P(GuardedProducts, TouchNothingBehindTheirOperands) {
  for (const GemmShape& shape : kShapes)
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        for (const int64_t slack : {0, 3}) {
          const GuardedProduct product({shape.m, shape.n, shape.k, transpose_a, transpose_b}, slack);
          product.run(1, GetParam());
          product.expect_right();
          if (HasFailure()) return;
        }
}

TEST_P(GuardedProducts, WithPackedWeights) {
  for (const GemmShape& shape : kShapes)
    for (const bool transpose_b : {false, true}) {
      GuardedProduct product({shape.m, shape.n, shape.k, false, transpose_b}, 0);
      const ConstTensorView b{reinterpret_cast<const std::byte*>(product.b.data()), DType::kF32,
                              transpose_b ? Shape{shape.n, shape.k} : Shape{shape.k, shape.n}};
      const PackedMatrix weights = pack_matrix(b, transpose_b, GetParam());
      product.args.packed_b = &weights;
      product.run(1, GetParam());
      product.expect_right();
      if (HasFailure()) return;
    }
}

TEST_P(GuardedProducts, WithMoreThreadsThanRowsOrPanels) {
  for (const GemmShape& shape : {GemmShape{3, 1500, 700}, GemmShape{1500, 3, 700}, GemmShape{2, 2, 600000}}) {
    const GuardedProduct product(shape, 1);
    product.run(7, GetParam());
    product.expect_right();
  }
}

// Denormals count as what they are, and Inf - Inf and 0 * Inf are NaN in the rows and columns that they are in, and nowhere else.
TEST_P(GuardedProducts, KeepSpecialNumbersInTheirRowsAndColumns) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kDenormal = 1e-40f;
  GuardedProduct product({20, 500, 30, false, false}, 0);
  product.args.addend = nullptr, product.args.bias = nullptr, product.args.activation = {};
  std::fill_n(product.a.data(), product.a.size(), 1.0f);
  std::fill_n(product.b.data(), product.b.size(), kDenormal);
  product.a.data()[4 * 30 + 29] = kInfinity;
  product.b.data()[10 * 500 + 499] = std::numeric_limits<float>::quiet_NaN();
  product.b.data()[29 * 500 + 7] = 0;
  product.run(1, GetParam());
  for (int64_t i = 0; i < 20; ++i)
    for (int64_t j = 0; j < 500; ++j) {
      const float value = product.c[i * 500 + j];
      if (j == 499 || (i == 4 && j == 7)) ASSERT_TRUE(std::isnan(value)) << i << ", " << j;
      else if (i == 4) ASSERT_EQ(value, kInfinity) << j;
      else ASSERT_NEAR(value / kDenormal, j == 7 ? 29 : 30, 1e-3) << i << ", " << j;
    }
}

// Attention whose queries, keys, values, mask, result and workspace end at a guard.
void expect_attention(int64_t queries, int64_t keys, int64_t size, bool causal, int threads) {
  constexpr int64_t kHeads = 3;
  const Guarded<float> q = Guarded<float>::random(kHeads * queries * size, 5), k = Guarded<float>::random(kHeads * keys * size, 6),
                       v = Guarded<float>::random(kHeads * keys * size, 7), mask = Guarded<float>::random(queries * keys, 8);
  const Guarded<float> y(kHeads * queries * size);
  const auto view = [](const Guarded<float>& values, const Shape& shape) {
    return TensorView{reinterpret_cast<std::byte*>(values.data()), DType::kF32, shape};
  };
  AttentionOptions options;
  options.causal = causal;
  AttentionInputs in;
  in.q = view(q, {1, kHeads, queries, size}), in.k = view(k, {1, kHeads, keys, size}), in.v = view(v, {1, kHeads, keys, size});
  in.mask = view(mask, {queries, keys});
  AttentionOutputs out;
  out.y = view(y, {1, kHeads, queries, size});
  const GuardedMemory workspace(
      attention_workspace(DType::kF32, attention_geometry(options, in.q.shape, in.k.shape, in.v.shape, {}, {}), false, threads));
  attention({.threads = threads, .workspace = workspace.bytes()}, options, in, out);
  for (int64_t h = 0; h < kHeads; ++h)
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t seen = causal ? std::min(keys, i + 1) : keys;
      std::vector<double> weights;
      double total = 0;
      for (int64_t j = 0; j < seen; ++j) {
        double score = 0;
        for (int64_t d = 0; d < size; ++d) score += double(q[(h * queries + i) * size + d]) * double(k[(h * keys + j) * size + d]);
        weights.push_back(std::exp(score / std::sqrt(double(size)) + double(mask[i * keys + j])));
        total += weights.back();
      }
      for (int64_t d = 0; d < size; ++d) {
        double expected = 0;
        for (int64_t j = 0; j < seen; ++j) expected += weights[static_cast<size_t>(j)] * double(v[(h * keys + j) * size + d]) / total;
        ASSERT_NEAR(double(y[(h * queries + i) * size + d]), expected, 1e-5) << queries << " queries, " << keys << " keys, size " << size;
      }
    }
}

TEST(GuardedAttention, TouchesNothingBehindItsOperands) {
  for (const bool causal : {false, true})
    for (const int threads : {1, 5})
      for (const int64_t size : {1, 7, 33, 64}) {
        expect_attention(1, 1, size, causal, threads);
        expect_attention(5, 19, size, causal, threads);
        expect_attention(200, 300, size, causal, threads);
        if (testing::Test::HasFailure()) return;
      }
}

}  // namespace
}  // namespace tandem::cpu
