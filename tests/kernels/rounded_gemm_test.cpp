// gemm() of f32 operands that are rounded to bf16 as they are read, on every tier of this machine, beside sums in double; operands, results and
// workspaces end at an unmapped page.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>

#include "kernels/api/gemm.h"
#include "kernels/base/half.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::Guarded, test::GuardedMemory;

double rounded(float x) { return static_cast<double>(to_float(to_bf16(x))); }

struct Problem {
  GemmShape s;
  Guarded<float> a, b, addend, row, bias, row_bias;

  explicit Problem(const GemmShape& shape)
      : s(shape), a(Guarded<float>::random(s.m * s.k, 1)), b(Guarded<float>::random(s.k * s.n, 2)), addend(Guarded<float>::random(s.m * s.n, 3)),
        row(Guarded<float>::random(s.n, 4)), bias(Guarded<float>::random(s.n, 5)), row_bias(Guarded<float>::random(s.m, 6)) {}

  GemmArgs<float> args(float* c) const {
    return {.a = a.data(), .lda = s.transpose_a ? s.m : s.k, .b = b.data(), .ldb = s.transpose_b ? s.k : s.n, .c = c, .ldc = s.n};
  }
  double product(int64_t i, int64_t j, double& size) const {
    double sum = 0;
    for (int64_t p = 0; p < s.k; ++p) {
      const double term = rounded(a.data()[s.transpose_a ? p * s.m + i : i * s.k + p]) * rounded(b.data()[s.transpose_b ? j * s.k + p : p * s.n + j]);
      sum += term, size += std::abs(term);
    }
    return sum;
  }
};

// An epilogue, and what it makes of a product.
struct Epilogue {
  const char* name;
  std::function<void(GemmArgs<float>&, const Problem&)> set;
  std::function<double(double, const Problem&, int64_t i, int64_t j)> definition;
};

const std::vector<Epilogue> kEpilogues = {
    {"none", [](auto&, auto&) {}, [](double x, auto&, auto, auto) { return x; }},
    {"alpha", [](auto& args, auto&) { args.alpha = -0.5f; }, [](double x, auto&, auto, auto) { return -0.5 * x; }},
    {"bias and Relu",
     [](auto& args, const Problem& p) { args.bias = p.bias.data(), args.activation = {UnaryOp::kRelu}; },
     [](double x, const Problem& p, auto, int64_t j) { return std::max(0.0, x + static_cast<double>(p.bias.data()[j])); }},
    {"bias, residual and Gelu",
     [](auto& args, const Problem& p) {
       args.bias = p.bias.data(), args.addend = p.addend.data(), args.ld_addend = p.s.n, args.activation = {UnaryOp::kGelu};
     },
     [](double x, const Problem& p, int64_t i, int64_t j) {
       x += static_cast<double>(p.bias.data()[j]) + static_cast<double>(p.addend.data()[i * p.s.n + j]);
       return 0.5 * x * std::erfc(-x / std::sqrt(2));
     }},
    {"one row, scaled, and biases of rows",
     [](auto& args, const Problem& p) {
       args.addend = p.row.data(), args.ld_addend = 0, args.beta = 2, args.bias = p.row_bias.data(), args.bias_axis = BiasAxis::kRow;
       args.activation = {UnaryOp::kTanh};
     },
     [](double x, const Problem& p, int64_t i, int64_t j) {
       return std::tanh(x + 2 * static_cast<double>(p.row.data()[j]) + static_cast<double>(p.row_bias.data()[i]));
     }},
    {"alpha, bias and residual",
     [](auto& args, const Problem& p) {
       args.alpha = 3, args.bias = p.bias.data(), args.addend = p.addend.data(), args.ld_addend = p.s.n, args.beta = 0.25f;
     },
     [](double x, const Problem& p, int64_t i, int64_t j) {
       return 3 * x + static_cast<double>(p.bias.data()[j]) + 0.25 * static_cast<double>(p.addend.data()[i * p.s.n + j]);
     }},
    {"alpha and C itself, then Relu",
     [](auto& args, const Problem& p) {
       std::copy_n(p.addend.data(), p.s.m * p.s.n, args.c);
       args.alpha = -3, args.addend = args.c, args.ld_addend = args.ldc, args.beta = 0.25f, args.activation = {UnaryOp::kRelu};
     },
     [](double x, const Problem& p, int64_t i, int64_t j) { return std::max(0.0, -3 * x + 0.25 * static_cast<double>(p.addend.data()[i * p.s.n + j])); }},
    {"nothing but C itself and the bias",
     [](auto& args, const Problem& p) {
       std::copy_n(p.addend.data(), p.s.m * p.s.n, args.c);
       args.alpha = 0, args.addend = args.c, args.ld_addend = args.ldc, args.beta = 2, args.bias = p.bias.data();
     },
     [](double, const Problem& p, int64_t i, int64_t j) {
       return 2 * static_cast<double>(p.addend.data()[i * p.s.n + j]) + static_cast<double>(p.bias.data()[j]);
     }},
};

void check(const Problem& p, const Epilogue& epilogue, Isa isa, int threads) {
  SCOPED_TRACE(testing::Message() << name(isa) << ' ' << p.s.m << 'x' << p.s.n << 'x' << p.s.k << ' ' << p.s.transpose_a << p.s.transpose_b << ' '
                                  << epilogue.name);
  const Guarded<float> c(p.s.m * p.s.n, -77);
  GemmArgs<float> args = p.args(c.data());
  epilogue.set(args, p);
  const GuardedMemory workspace(gemm_workspace_bytes<float>(p.s, threads, isa));
  gemm({.threads = threads, .workspace = workspace.bytes()}, p.s, args, isa);
  for (int64_t i = 0; i < p.s.m; ++i)
    for (int64_t j = 0; j < p.s.n; ++j) {
      double size = 4;
      const double expected = epilogue.definition(p.product(i, j, size), p, i, j);
      ASSERT_NEAR(static_cast<double>(c.data()[i * p.s.n + j]), expected, 4e-6 * size) << i << ' ' << j;
    }
}

TEST(RoundedGemm, EveryTierTransposeAndEpilogue) {
  int which = 0;
  for (Isa isa : available_isas())
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1}, {5, 33, 0}, {13, 16, 2}, {37, 70, 31}, {64, 48, 96}, {30, 300, 513}})
      for (int t = 0; t < 4; ++t) {
        const Problem problem({m, n, k, (t & 1) != 0, (t & 2) != 0, true});
        for (const Epilogue& epilogue : kEpilogues) check(problem, epilogue, isa, 1 + which++ % 3);
      }
}

TEST(RoundedGemm, BitsDoNotDependOnThreadsOrRows) {
  for (Isa isa : available_isas()) {
    const Problem problem({300, 200, 1030, true, false, true});
    std::vector<std::vector<float>> all;
    for (const int threads : {1, 2, 3}) {
      std::vector<float> c(static_cast<size_t>(problem.s.m * problem.s.n));
      std::vector<std::byte> workspace(gemm_workspace_bytes<float>(problem.s, threads, isa));
      gemm({.threads = threads, .workspace = workspace}, problem.s, problem.args(c.data()), isa);
      all.push_back(c);
    }
    EXPECT_EQ(all[0], all[1]) << name(isa);
    EXPECT_EQ(all[0], all[2]) << name(isa);
  }
}

TEST(RoundedGemm, WorkspaceOfALargerProductHoldsSmallerOnes) {
  for (Isa isa : available_isas())
    for (int64_t k = 1; k < 4200; k += k < 40 ? 1 : 13)
      for (const int64_t n : {15, 16, 17})
        EXPECT_LE(gemm_workspace_bytes<float>({7, n, k, false, false, true}, 1, isa), gemm_workspace_bytes<float>({7, n + 1, k + 1, false, false, true}, 1, isa))
            << name(isa) << ' ' << k;
}

TEST(RoundedGemm, BatchesPackedWeightsAndDoublesAreErrors) {
  float x[4] = {};
  double y[4] = {};
  const GemmShape shape{1, 1, 1, false, false, true};
  const GemmArgs<float> args{.a = x, .lda = 1, .b = x, .ldb = 1, .c = x, .ldc = 1};
  EXPECT_THROW(batched_gemm({}, shape, args, {.count = 2}), Error);
  EXPECT_THROW(gemm<float>({}, shape, args), Error) << "no workspace";
  EXPECT_THROW(gemm<double>({}, shape, {.a = y, .lda = 1, .b = y, .ldb = 1, .c = y, .ldc = 1}), Error);
  const PackedMatrix packed = pack_matrix({reinterpret_cast<const std::byte*>(x), DType::kF32, {1, 1}});
  std::vector<std::byte> workspace(gemm_workspace_bytes<float>(shape, 1));
  GemmArgs<float> with_packed = args;
  with_packed.packed_b = &packed;
  EXPECT_THROW(gemm({.workspace = workspace}, shape, with_packed), Error);
}

}  // namespace
}  // namespace tandem::cpu
