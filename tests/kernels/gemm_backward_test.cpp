// What a product of a backward step makes besides (GemmBackward), on every tier, against scalar loops in double.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <random>
#include <vector>

#include "kernels/api/gemm.h"
#include "kernels/base/half.h"

#include "tests/kernels/float_tiers.h"

namespace tandem::cpu {
namespace {

std::vector<double> noise(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<double> values(static_cast<size_t>(n));
  for (double& v : values) v = double(uniform(random));
  return values;
}

double slope(UnaryGradOp op, double saved) {
  const double cumulative = 0.5 * std::erfc(-saved / std::numbers::sqrt2);
  const double density = std::exp(-0.5 * saved * saved) / std::sqrt(2 * std::numbers::pi);
  const double c = std::sqrt(2 / std::numbers::pi), t = std::tanh(c * (saved + 0.044715 * std::pow(saved, 3)));
  switch (op) {
    case UnaryGradOp::kRelu: return saved > 0 ? 1 : 0;
    case UnaryGradOp::kSigmoid: return saved * (1 - saved);
    case UnaryGradOp::kTanh: return 1 - saved * saved;
    case UnaryGradOp::kGelu: return cumulative + saved * density;
    case UnaryGradOp::kGeluTanh: return 0.5 * (1 + t) + 0.5 * saved * (1 - t * t) * c * (1 + 3 * 0.044715 * saved * saved);
    default: ADD_FAILURE(); return 0;
  }
}

// One product with slack in every leading dimension, and its reference.
struct Problem {
  GemmShape shape;
  int64_t lda, ldb, ldc;
  std::vector<double> a, b, saved;

  explicit Problem(const GemmShape& s)
      : shape(s), lda((s.transpose_a ? s.m : s.k) + 1), ldb((s.transpose_b ? s.k : s.n) + 2), ldc(s.n + 3) {
    a = noise((s.transpose_a ? s.k : s.m) * lda, 1);
    b = noise((s.transpose_b ? s.n : s.k) * ldb, 2);
    saved = noise(s.m * ldc, 3);
  }
  double a_at(int64_t i, int64_t k) const { return a[static_cast<size_t>(shape.transpose_a ? k * lda + i : i * lda + k)]; }
  // What is multiplied.
  double factor(double x) const { return shape.rounded ? double(to_float(to_bf16(float(x)))) : x; }
  double b_at(int64_t k, int64_t j) const { return b[static_cast<size_t>(shape.transpose_b ? j * ldb + k : k * ldb + j)]; }
};

template <class T>
struct Result {
  std::vector<T> c, sums;
};

template <class T>
Result<T> run(const Problem& p, std::optional<UnaryGradOp> op, std::optional<Operand> summed, int threads, Isa isa) {
  const std::vector<T> a(p.a.begin(), p.a.end()), b(p.b.begin(), p.b.end()), saved(p.saved.begin(), p.saved.end());
  Result<T> result{std::vector<T>(saved.size(), T(-77)),
                   std::vector<T>(static_cast<size_t>(std::max(p.shape.m, p.shape.n)), T(-77))};
  GemmArgs<T> args{.a = a.data(), .lda = p.lda, .b = b.data(), .ldb = p.ldb, .c = result.c.data(), .ldc = p.ldc, .alpha = T(0.5)};
  if (op) args.backward.saved = saved.data(), args.backward.slope = *op;
  if (summed) args.backward.sums = result.sums.data(), args.backward.summed = *summed;
  std::vector<std::byte> workspace(gemm_workspace_bytes<T>(p.shape, threads, isa));
  gemm({.threads = threads, .workspace = workspace}, p.shape, args, isa);
  return result;
}

template <class T>
void check(const Problem& p, std::optional<UnaryGradOp> op, std::optional<Operand> summed, int threads, Isa isa) {
  const Result<T> result = run<T>(p, op, summed, threads, isa);
  const auto [m, n, k] = std::array{p.shape.m, p.shape.n, p.shape.k};
  const double bound = double(std::numeric_limits<T>::epsilon()) * (16 + 6 * std::sqrt(double(k)));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < p.ldc; ++j) {
      const size_t at = static_cast<size_t>(i * p.ldc + j);
      double expected = j < n ? 0 : -77;
      for (int64_t l = 0; j < n && l < k; ++l) expected += 0.5 * p.factor(p.a_at(i, l)) * p.factor(p.b_at(l, j));
      if (j < n && op) expected *= slope(*op, p.saved[at]);
      ASSERT_NEAR(double(result.c[at]), expected, bound) << i << ' ' << j;
    }
  const int64_t length = !summed ? 0 : *summed == Operand::kA ? m : n;
  for (int64_t i = 0; i < std::max(m, n); ++i) {
    double expected = i < length ? 0 : -77;
    for (int64_t l = 0; i < length && l < k; ++l) expected += *summed == Operand::kA ? p.a_at(i, l) : p.b_at(l, i);
    ASSERT_NEAR(double(result.sums[static_cast<size_t>(i)]), expected, 4 * bound) << "sum " << i;
  }
}

class GemmBackwardTiers : public testing::TestWithParam<Isa> {
  void SetUp() override {
    if (!machine_has(GetParam())) GTEST_SKIP() << "this machine lacks " << name(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(All, GemmBackwardTiers, testing::ValuesIn(float_tiers()),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST_P(GemmBackwardTiers, SlopesAndSums) {
  int which = 0;
  for (const auto& [m, n, k] :
       {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {3, 17, 0}, {29, 45, 7}, {130, 10, 90}, {7, 1100, 800}})
    for (int t = 0; t < 4; ++t) {
      const Problem problem({m, n, k, (t & 1) != 0, (t & 2) != 0});
      SCOPED_TRACE(testing::Message() << m << "x" << n << "x" << k << " transposes " << t);
      for (UnaryGradOp op :
           {UnaryGradOp::kRelu, UnaryGradOp::kSigmoid, UnaryGradOp::kTanh, UnaryGradOp::kGelu, UnaryGradOp::kGeluTanh})
        check<float>(problem, op, {}, 1 + which++ % 3, GetParam());
      for (Operand summed : {Operand::kA, Operand::kB}) {
        check<float>(problem, {}, summed, 1 + which++ % 3, GetParam());
        check<float>(problem, UnaryGradOp::kRelu, summed, 1 + which++ % 3, GetParam());
      }
    }
}

TEST_P(GemmBackwardTiers, BitsDependNeitherOnTeamNorNeighbours) {
  const Problem problem({300, 1100, 777, true, false});
  for (Operand summed : {Operand::kA, Operand::kB}) {
    const Result<float> one = run<float>(problem, UnaryGradOp::kGelu, summed, 1, GetParam());
    for (int threads : {2, 3}) {
      const Result<float> other = run<float>(problem, UnaryGradOp::kGelu, summed, threads, GetParam());
      EXPECT_EQ(one.c, other.c);
      EXPECT_EQ(one.sums, other.sums);
    }
  }
}

// Products of operands that are rounded to bf16, the sums of operands that are not.
TEST(GemmBackward, OfRoundedOperands) {
  int which = 0;
  for (Isa isa : available_isas())
    for (const auto& [m, n, k] :
         {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {3, 17, 0}, {29, 45, 7}, {130, 10, 90}, {70, 300, 257}, {33, 150, 2048}})
      for (int t = 0; t < 4; ++t) {
        const Problem problem({m, n, k, (t & 1) != 0, (t & 2) != 0, true});
        SCOPED_TRACE(testing::Message() << name(isa) << ' ' << m << "x" << n << "x" << k << " transposes " << t);
        for (UnaryGradOp op : {UnaryGradOp::kRelu, UnaryGradOp::kGelu}) check<float>(problem, op, {}, 1 + which++ % 3, isa);
        for (Operand summed : {Operand::kA, Operand::kB}) check<float>(problem, {}, summed, 1 + which++ % 3, isa);
      }
}

TEST(GemmBackward, DoubleIsDouble) {
  for (int t = 0; t < 4; ++t)
    for (UnaryGradOp op : {UnaryGradOp::kRelu, UnaryGradOp::kGelu})
      check<double>(Problem({37, 53, 400, (t & 1) != 0, (t & 2) != 0}), op, t < 2 ? Operand::kA : Operand::kB, 2, Isa::kPortable);
}

// As ReluGrad has it: nothing passes where the activation was not positive, NaN among them, and NaN does where it was.
TEST(GemmBackward, NothingPassesAClosedGate) {
  for (const Isa isa : float_tiers()) {
    if (!machine_has(isa)) continue;
    const float nan = std::numeric_limits<float>::quiet_NaN(), a[] = {nan}, b[] = {1, 1, 1, 1, 1}, saved[] = {0, -1, 1, nan, 2};
    float c[5];
    GemmArgs<float> args{.a = a, .lda = 1, .b = b, .ldb = 5, .c = c, .ldc = 5};
    args.backward.saved = saved;
    const GemmShape shape{1, 5, 1};
    std::vector<std::byte> workspace(gemm_workspace_bytes<float>(shape, 1, isa));
    gemm({.workspace = workspace}, shape, args, isa);
    for (int i : {0, 1, 3}) EXPECT_EQ(c[i], 0) << i;
    for (int i : {2, 4}) EXPECT_TRUE(std::isnan(c[i])) << i;
  }
}

TEST(GemmBackward, ActivationAndSlopeOrABatchOfSumsAreErrors) {
  float x[4] = {};
  GemmArgs<float> args{.a = x, .lda = 1, .b = x, .ldb = 1, .c = x, .ldc = 1};
  args.backward.saved = x, args.activation = Activation(UnaryOp::kRelu);
  EXPECT_THROW(gemm({}, {1, 1, 1}, args), Error);
  args.backward = {.sums = x};
  EXPECT_THROW(batched_gemm({}, {1, 1, 1}, args, {.count = 2}), Error);
}

}  // namespace
}  // namespace tandem::cpu
