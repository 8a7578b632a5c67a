// Every tier against a scalar product in double, over ragged shapes, transposes, epilogues, packed weights and teams.
#include "kernels/api/gemm.h"
#include "kernels/api/packed_workspace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/activations.h"
#include "tests/kernels/float_tiers.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

template <class T>
std::vector<T> noise(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values(static_cast<size_t>(n));
  for (T& v : values) v = static_cast<T>(uniform(random));
  return values;
}

template <class T>
std::vector<double> reference(const GemmShape& s, const GemmArgs<T>& args) {
  std::vector<double> c(static_cast<size_t>(s.m * s.n));
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < s.k; ++k)
        sum += double(s.transpose_a ? args.a[k * args.lda + i] : args.a[i * args.lda + k]) *
               double(s.transpose_b ? args.b[j * args.ldb + k] : args.b[k * args.ldb + j]);
      sum *= double(args.alpha);
      if (args.addend) sum += double(args.beta) * double(args.addend[i * args.ld_addend + j]);
      if (args.bias) sum += double(args.bias[args.bias_axis == BiasAxis::kRow ? i : j]);
      c[static_cast<size_t>(i * s.n + j)] = test::activated(args.activation, sum);
    }
  return c;
}

// Runs one product with C inside a larger matrix, whose other elements must stay as they are; returns C without the border.
template <class T>
std::vector<T> run(const GemmShape& s, GemmArgs<T> args, int threads, Isa isa, bool into_addend = false) {
  const int64_t ldc = s.n + 3;
  std::vector<T> c(static_cast<size_t>(s.m * ldc), T(-77));
  if (into_addend) {
    for (int64_t i = 0; i < s.m; ++i)
      for (int64_t j = 0; j < s.n; ++j) c[static_cast<size_t>(i * ldc + j)] = args.addend[i * args.ld_addend + j];
    args.addend = c.data();
    args.ld_addend = ldc;
  }
  args.c = c.data();
  args.ldc = ldc;
  std::vector<std::byte> workspace(args.packed_b ? gemm_workspace_with_packed_b<T>(s, threads, isa) : gemm_workspace_bytes<T>(s, threads, isa));
  KernelContext context;
  context.threads = threads;
  context.workspace = workspace;
  gemm(context, s, args, isa);
  std::vector<T> result;
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < ldc; ++j) {
      const T value = c[static_cast<size_t>(i * ldc + j)];
      if (j < s.n) result.push_back(value);
      else EXPECT_EQ(value, T(-77)) << "wrote outside C at row " << i;
    }
  return result;
}

template <class T>
double tolerance(int64_t k) {
  return std::numeric_limits<T>::epsilon() * (4 + 6 * std::sqrt(static_cast<double>(k)));
}

template <class T>
void expect_close(const std::vector<T>& actual, const std::vector<double>& expected, double bound) {
  ASSERT_EQ(actual.size(), expected.size());
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i)
    worst = std::max(worst, std::abs(double(actual[i]) - expected[i]) / std::max(1.0, std::abs(expected[i])));
  EXPECT_LE(worst, bound);
}

// The operands of one product with some slack in their leading dimensions.
template <class T>
struct Operands {
  std::vector<T> a, b, addend, bias;
  GemmArgs<T> args;
  explicit Operands(const GemmShape& s) {
    args.lda = (s.transpose_a ? s.m : s.k) + 1;
    args.ldb = (s.transpose_b ? s.k : s.n) + 2;
    args.ld_addend = s.n + 1;
    a = noise<T>((s.transpose_a ? s.k : s.m) * args.lda, 1);
    b = noise<T>((s.transpose_b ? s.n : s.k) * args.ldb, 2);
    addend = noise<T>(s.m * args.ld_addend, 3);
    bias = noise<T>(std::max(s.m, s.n), 4);
    args.a = a.data();
    args.b = b.data();
  }
};

class GemmTiers : public testing::TestWithParam<Isa> {
  void SetUp() override {
    if (!machine_has(GetParam())) GTEST_SKIP() << "this machine lacks " << name(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(All, GemmTiers, testing::ValuesIn(float_tiers()),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST_P(GemmTiers, RaggedShapesAndTransposes) {
  const int64_t sizes[] = {1, 2, 3, 5, 13, 31, 64, 100, 257};
  int which = 0;
  for (int64_t m : sizes)
    for (int64_t n : sizes)
      for (int64_t k : sizes) {
        const int t = which++ % 4;  // all four transposes in turn
        const GemmShape s{m, n, k, (t & 1) != 0, (t & 2) != 0};
        const Operands<float> o(s);
        SCOPED_TRACE(testing::Message() << m << "x" << n << "x" << k << " transposes " << t);
        expect_close(run(s, o.args, 1 + which % 3, GetParam()), reference(s, o.args), tolerance<float>(k));
      }
}

TEST_P(GemmTiers, EveryTransposeOfLargerShapes) {
  for (int t = 0; t < 4; ++t)
    for (const auto& [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>{257, 1100, 100}, {64, 128, 1000}, {7, 200, 900}, {500, 40, 385}}) {
      const GemmShape s{m, n, k, (t & 1) != 0, (t & 2) != 0};
      const Operands<float> o(s);
      SCOPED_TRACE(testing::Message() << m << "x" << n << "x" << k << " transposes " << t);
      expect_close(run(s, o.args, 2, GetParam()), reference(s, o.args), tolerance<float>(k));
    }
}

TEST_P(GemmTiers, Epilogues) {
  for (const Activation& activation : test::kActivations)
    for (int64_t k : {0, 7, 800})
      for (int mask = 0; mask < 8; ++mask) {
        const GemmShape s{29, 45, k};
        Operands<float> o(s);
        o.args.activation = activation;
        o.args.alpha = 0.5f;
        o.args.beta = -1.5f;
        if (mask & 1) o.args.addend = o.addend.data();
        if (mask & 2) o.args.bias = o.bias.data();
        if (mask & 4) o.args.bias_axis = BiasAxis::kRow;
        SCOPED_TRACE(testing::Message() << "activation " << (activation ? static_cast<int>(activation.function) : -1) << " k " << k << " mask " << mask);
        const std::vector<double> expected = reference(s, o.args);
        expect_close(run(s, o.args, 2, GetParam()), expected, 4 * tolerance<float>(k));
        if (mask & 1) expect_close(run(s, o.args, 2, GetParam(), true), expected, 4 * tolerance<float>(k));
      }
}

TEST_P(GemmTiers, OneAddendRowForAllRows) {
  const GemmShape s{9, 33, 12};
  Operands<float> o(s);
  o.args.addend = o.addend.data();
  o.args.ld_addend = 0;
  expect_close(run(s, o.args, 1, GetParam()), reference(s, o.args), tolerance<float>(12));
}

TEST_P(GemmTiers, BitsDependNeitherOnTeamNorPackingNorNeighbours) {
  for (bool transpose_b : {false, true}) {
    const GemmShape s{70, 150, 777, false, transpose_b};
    const Operands<float> o(s);
    const std::vector<float> one = run(s, o.args, 1, GetParam());
    EXPECT_EQ(one, run(s, o.args, 2, GetParam()));
    EXPECT_EQ(one, run(s, o.args, 3, GetParam()));
    for (int64_t rows : {1, 2, 3, 4, 5, 6, 12, 13}) {  // fewer rows of A: the same rows of C
      const GemmShape fewer{rows, s.n, s.k, false, transpose_b};
      const std::vector<float> head = run(fewer, o.args, 1, GetParam());
      EXPECT_EQ(head, std::vector<float>(one.begin(), one.begin() + rows * s.n)) << rows << " rows";
    }
    const int64_t stored_rows = transpose_b ? s.n : s.k;
    std::vector<float> dense;  // pack_matrix takes a dense matrix
    for (int64_t i = 0; i < stored_rows; ++i)
      dense.insert(dense.end(), o.b.begin() + i * o.args.ldb, o.b.begin() + i * o.args.ldb + (transpose_b ? s.k : s.n));
    const PackedMatrix packed = pack_matrix(
        {reinterpret_cast<const std::byte*>(dense.data()), DType::kF32, transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n}}, transpose_b,
        GetParam());
    GemmArgs<float> args = o.args;
    args.b = nullptr;
    args.packed_b = &packed;
    EXPECT_EQ(one, run(s, args, 1, GetParam()));
    EXPECT_EQ(one, run(s, args, 3, GetParam()));
  }
}

// Rows are the lanes of few columns: the bits are those of the same columns among many. A, B and C end at an unmapped page.
TEST_P(GemmTiers, FewColumnsHaveTheBitsOfMany) {
  constexpr int64_t kWide = 40;
  for (int64_t m : {16, 35, 67})
    for (int64_t k : {0, 1, 30, 777}) {
      const auto values = noise<float>(m * k, 5), weights = noise<float>(k * kWide, 6), bias = noise<float>(std::max(m, kWide), 7);
      for (int mask = 0; mask < 8; ++mask) {
        const auto addend = noise<float>(m * kWide, 8);
        GemmArgs<float> args;
        args.alpha = mask == 0 ? 1.0f : 0.75f, args.beta = -1.5f;
        args.bias = bias.data(), args.bias_axis = mask & 1 ? BiasAxis::kRow : BiasAxis::kColumn;
        if (mask & 2) args.activation = Activation(UnaryOp::kRelu);
        const auto product = [&](int64_t n, const float* a, const float* b, const float* add, float* c) {
          GemmArgs<float> all = args;
          all.a = a, all.lda = k, all.b = b, all.ldb = n, all.c = c, all.ldc = n;
          if (mask & 4) all.addend = add, all.ld_addend = n;
          const GemmShape s{m, n, k};
          std::vector<std::byte> workspace(gemm_workspace_bytes<float>(s, 1, GetParam()));
          gemm({.threads = 1, .workspace = workspace}, s, all, GetParam());
        };
        std::vector<float> wide(static_cast<size_t>(m * kWide));
        product(kWide, values.data(), weights.data(), addend.data(), wide.data());
        for (int64_t n = 1; n <= 5; ++n) {
          const auto first_columns = [&](const std::vector<float>& from, int64_t rows) {
            std::vector<float> some;
            for (int64_t i = 0; i < rows; ++i) some.insert(some.end(), from.begin() + i * kWide, from.begin() + i * kWide + n);
            return some;
          };
          const auto guarded = [](const std::vector<float>& from) {
            test::Guarded<float> memory(static_cast<int64_t>(from.size()));
            std::ranges::copy(from, memory.data());
            return memory;
          };
          const auto a = guarded(values), b = guarded(first_columns(weights, k)), add = guarded(first_columns(addend, m));
          const test::Guarded<float> c(m * n, 7.0f);
          product(n, a.data(), b.data(), add.data(), c.data());
          EXPECT_EQ(std::vector<float>(c.data(), c.data() + m * n), first_columns(wide, m)) << m << "x" << n << "x" << k << ", mask " << mask;
        }
      }
    }
}

// Weights that no cache of a core holds are read in several places at once: the sums have the same bits as in the large product.
TEST_P(GemmTiers, FewRowsOnLargeWeights) {
  const GemmShape s{70, 517, 650};
  const Operands<float> o(s);
  std::vector<float> dense;  // pack_matrix takes a dense matrix
  for (int64_t i = 0; i < s.k; ++i) dense.insert(dense.end(), o.b.begin() + i * o.args.ldb, o.b.begin() + i * o.args.ldb + s.n);
  const PackedMatrix packed = pack_matrix({reinterpret_cast<const std::byte*>(dense.data()), DType::kF32, {s.k, s.n}}, false, GetParam());
  ASSERT_GT(packed.bytes(), size_t{1} << 20);
  GemmArgs<float> args = o.args;
  args.activation = Activation(UnaryOp::kRelu);
  const std::vector<float> whole = run(s, args, 1, GetParam());
  args.b = nullptr;
  args.packed_b = &packed;
  for (int64_t rows = 1; rows <= 26; ++rows)
    for (int threads : {1, 2}) {
      const std::vector<float> head = run({rows, s.n, s.k}, args, threads, GetParam());
      EXPECT_EQ(head, std::vector<float>(whole.begin(), whole.begin() + rows * s.n)) << rows << " rows, " << threads << " threads";
    }
}

TEST_P(GemmTiers, NanAndInfinityComeThrough) {
  const GemmShape s{2, 20, 4};
  Operands<float> o(s);
  o.a[0] = std::numeric_limits<float>::quiet_NaN();
  o.args.activation = Activation(UnaryOp::kRelu);
  const std::vector<float> c = run(s, o.args, 1, GetParam());
  for (int64_t j = 0; j < 20; ++j) EXPECT_TRUE(std::isnan(c[static_cast<size_t>(j)]));
  for (int64_t j = 20; j < 40; ++j) EXPECT_FALSE(std::isnan(c[static_cast<size_t>(j)]));
}

TEST(Gemm, DoubleIsDouble) {
  for (int t = 0; t < 4; ++t) {
    const GemmShape s{37, 53, 400, (t & 1) != 0, (t & 2) != 0};
    const Operands<double> o(s);
    expect_close(run(s, o.args, 2, Isa::kPortable), reference(s, o.args), tolerance<double>(400));
  }
}

TEST(Gemm, EmptySizesWriteNothing) {
  for (const GemmShape& s : {GemmShape{0, 5, 3}, GemmShape{5, 0, 3}}) {
    const Operands<float> o(s);
    EXPECT_TRUE(run(s, o.args, 2, chosen_isa()).empty());
  }
}

TEST(Gemm, WorkspaceGrowsWithTheShape) {
  for (int64_t k = 1; k < 1500; k += 7) {
    EXPECT_LE(gemm_workspace_bytes<float>({5, 40, k}, 2), gemm_workspace_bytes<float>({6, 40, k + 7}, 2));
    EXPECT_LE(gemm_workspace_bytes<float>({k, 40, 64}, 2), gemm_workspace_bytes<float>({k + 7, 41, 64}, 2));
  }
}

TEST(Gemm, SmallWorkspaceIsAnError) {
  const GemmShape s{64, 64, 64};
  const Operands<float> o(s);
  std::vector<float> c(64 * 64);
  GemmArgs<float> args = o.args;
  args.c = c.data();
  args.ldc = 64;
  EXPECT_THROW(gemm(KernelContext{}, s, args), Error);
}

TEST(BatchedGemm, EqualsItsProducts) {
  for (int64_t count : {1, 2, 5, 40}) {
    const GemmShape s{20, 30, 40};
    const std::vector<float> a = noise<float>(count * 800, 1), b = noise<float>(1200, 2);
    std::vector<float> c(static_cast<size_t>(count * 600)), single = c;
    KernelContext context;
    context.threads = 3;
    std::vector<std::byte> workspace(gemm_workspace_bytes<float>(s, 3));
    context.workspace = workspace;
    GemmArgs<float> args;
    args.a = a.data(), args.lda = 40, args.b = b.data(), args.ldb = 30, args.c = c.data(), args.ldc = 30;
    batched_gemm(context, s, args, {count, 800, 0, 600, 0});
    for (int64_t i = 0; i < count; ++i) {
      args.a = a.data() + i * 800;
      args.c = single.data() + i * 600;
      gemm(context, s, args);
    }
    EXPECT_EQ(c, single);
  }
}

struct MatmulCase {
  Shape a, b, y;
  bool transpose_a = false, transpose_b = false;
};

TEST(Matmul, BroadcastsAsNumpy) {
  const MatmulCase cases[] = {
      {{3, 4}, {4, 5}, {3, 5}},
      {{4}, {4, 5}, {5}},
      {{3, 4}, {4}, {3}},
      {{4}, {4}, {}},
      {{2, 3, 4}, {4, 5}, {2, 3, 5}},
      {{3, 4}, {2, 4, 5}, {2, 3, 5}},
      {{2, 1, 3, 4}, {6, 4, 5}, {2, 6, 3, 5}},
      {{6, 4, 3}, {2, 1, 4, 5}, {2, 6, 3, 5}, true},
      {{6, 3, 4}, {6, 5, 4}, {6, 3, 5}, false, true},
      {{0, 3, 4}, {4, 5}, {0, 3, 5}},
      {{2, 3, 0}, {0, 5}, {2, 3, 5}},
      {{7, 2}, {2, 7, 3}, {2, 2, 3}, true},
  };
  for (const MatmulCase& c : cases) {
    SCOPED_TRACE(to_string(c.a) + " x " + to_string(c.b));
    ASSERT_EQ(matmul_shape(c.a, c.b, c.transpose_a, c.transpose_b), c.y);
    const std::vector<double> a = noise<double>(c.a.elements(), 1), b = noise<double>(c.b.elements(), 2);
    std::vector<double> y(static_cast<size_t>(c.y.elements()), -1);
    KernelContext context;
    context.threads = 2;
    std::vector<std::byte> workspace(matmul_workspace_bytes(DType::kF64, c.a, c.b, c.transpose_a, c.transpose_b, 2));
    context.workspace = workspace;
    MatmulOptions options;
    options.transpose_a = c.transpose_a, options.transpose_b = c.transpose_b;
    matmul(context, {reinterpret_cast<const std::byte*>(a.data()), DType::kF64, c.a},
           {reinterpret_cast<const std::byte*>(b.data()), DType::kF64, c.b}, {reinterpret_cast<std::byte*>(y.data()), DType::kF64, c.y},
           options);
    // Reference by index arithmetic on shapes with the vector axes put back.
    const auto at = [](const Shape& s, int axis_from_end) { return axis_from_end < s.rank() ? s[s.rank() - 1 - axis_from_end] : 1; };
    const Shape as = c.a.rank() == 1 ? Shape{1, c.a[0]} : c.a, bs = c.b.rank() == 1 ? Shape{c.b[0], 1} : c.b;
    const int64_t m = at(as, c.transpose_a ? 0 : 1), k = at(as, c.transpose_a ? 1 : 0), n = at(bs, c.transpose_b ? 1 : 0);
    const int64_t outer = std::max(at(as, 3), at(bs, 3)), inner = as.elements() * bs.elements() == 0 ? at(as, 2) : std::max(at(as, 2), at(bs, 2));
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t p = 0; p < inner; ++p)
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j) {
            const int64_t ai = ((at(as, 3) == 1 ? 0 : o) * at(as, 2) + (at(as, 2) == 1 ? 0 : p)) * m * k;
            const int64_t bi = ((at(bs, 3) == 1 ? 0 : o) * at(bs, 2) + (at(bs, 2) == 1 ? 0 : p)) * k * n;
            double sum = 0;
            for (int64_t q = 0; q < k; ++q)
              sum += a[static_cast<size_t>(ai + (c.transpose_a ? q * m + i : i * k + q))] *
                     b[static_cast<size_t>(bi + (c.transpose_b ? j * k + q : q * n + j))];
            EXPECT_NEAR(y[static_cast<size_t>(((o * inner + p) * m + i) * n + j)], sum, 1e-14);
          }
  }
}

// A batch of 1 leaves B no leading axes, and those of A would be rows of one product: more than the plan for a batch of 3 knows of.
TEST(Matmul, FewerProductsThanPlannedKeepTheirRows) {
  const Shape a{1, 4, 7, 64}, b{1, 1, 64, 50}, planned_a{3, 4, 7, 64}, planned_b{3, 1, 64, 50};
  const std::vector<float> left = noise<float>(a.elements(), 1), right = noise<float>(b.elements(), 2);
  const auto run = [&](size_t bytes) {
    std::vector<float> y(4 * 7 * 50, -1);
    std::vector<std::byte> workspace(bytes);
    matmul({.workspace = workspace}, {reinterpret_cast<const std::byte*>(left.data()), DType::kF32, a},
           {reinterpret_cast<const std::byte*>(right.data()), DType::kF32, b},
           {reinterpret_cast<std::byte*>(y.data()), DType::kF32, {1, 4, 7, 50}});
    return y;
  };
  const size_t planned = matmul_workspace_bytes(DType::kF32, planned_a, planned_b, false, false, 1),
               own = matmul_workspace_bytes(DType::kF32, a, b, false, false, 1);
  const std::vector<float> roomy = run(std::max(planned, own)), tight = run(planned);
  for (size_t i = 0; i < tight.size(); ++i) EXPECT_NEAR(tight[i], roomy[i], 1e-5);
}

TEST(Matmul, WrongShapesAreNamed) {
  try {
    matmul_shape({2, 3}, {4, 5});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(std::string(e.what()), testing::AllOf(testing::HasSubstr("[2, 3]"), testing::HasSubstr("[4, 5]")));
  }
  EXPECT_THROW(matmul_shape({2, 3, 4}, {5, 4, 6}), Error);
  EXPECT_THROW(matmul_shape({}, {3}), Error);
}

TEST(Matmul, PackedWeightsWithBiasAndRelu) {
  const std::vector<float> a = noise<float>(2 * 3 * 40, 1), w = noise<float>(50 * 40, 2), bias = noise<float>(50, 3);
  std::vector<float> plain(300), packed_y(300);
  const auto view = [](const std::vector<float>& v, Shape s) {
    return ConstTensorView{reinterpret_cast<const std::byte*>(v.data()), DType::kF32, s};
  };
  KernelContext context;
  std::vector<std::byte> workspace(matmul_workspace_bytes(DType::kF32, {2, 3, 40}, {50, 40}, false, true, 1));
  context.workspace = workspace;
  MatmulOptions options;
  options.bias = view(bias, {50});
  options.activation = Activation(UnaryOp::kRelu);
  const PackedMatrix packed = pack_matrix(view(w, {50, 40}), true);
  matmul(context, view(a, {2, 3, 40}), packed, {reinterpret_cast<std::byte*>(packed_y.data()), DType::kF32, {2, 3, 50}}, options);
  options.transpose_b = true;
  matmul(context, view(a, {2, 3, 40}), view(w, {50, 40}), {reinterpret_cast<std::byte*>(plain.data()), DType::kF32, {2, 3, 50}}, options);
  EXPECT_EQ(plain, packed_y);
  EXPECT_EQ(packed.bytes() % sizeof(float), 0u);
}

}  // namespace
}  // namespace tandem::cpu
