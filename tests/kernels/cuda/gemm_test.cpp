// The CUDA products by our own kernels against the CPU's: ragged shapes, transposes, epilogues, batches, split sums, all float
// types.
#include <cstring>

#include "tests/kernels/activations.h"
#include "tests/kernels/cuda/gemm_cases.h"

namespace tandem::test {
namespace {

// Every transpose of shapes that are less than a tile, a tile, a little more; aligned lines and others; one seed after the other.
template <class T, class Out = T>
void check_shapes() {
  constexpr int64_t kShapes[][3] = {{1, 1, 1},    {1, 10, 64},  {33, 1, 17},   {7, 65, 5},   {32, 32, 16},
                                    {64, 64, 64}, {31, 70, 40}, {65, 33, 100}, {70, 130, 33}};
  unsigned which = 0;
  for (const auto& [m, n, k] : kShapes)
    for (int t = 0; t < 4; ++t, ++which)
      for (int64_t slack : {0, 1, 8}) {
        const GemmShape shape{m, n, k, (t & 1) != 0, (t & 2) != 0};
        SCOPED_TRACE(text(shape) + " slack " + std::to_string(slack));
        check_product<T, Out>({.shape = shape, .slack = slack}, kSeeds[which % 3]);
      }
}
TEST(CudaGemm, EqualsItsTwin) { check_shapes<float>(); }
TEST(CudaGemm, DoubleIsDouble) { check_shapes<double>(); }
TEST(CudaGemm, HalvesOnTensorCores) {
  check_shapes<F16>();
  check_shapes<BF16>();
}
TEST(CudaGemm, HalvesIntoF32) {
  check_shapes<F16, float>();
  check_shapes<BF16, float>();
}

// Enough tiles of the largest size to fill the GPU.
template <class T>
void check_large(int64_t m, int64_t n) {
  for (int t = 0; t < 4; ++t) check_product<T>({.shape = {m, n, 20, (t & 1) != 0, (t & 2) != 0}}, kSeeds[t % 3]);
}
TEST(CudaGemm, LargestTiles) {
  check_large<float>(1400, 1420);
  check_large<double>(700, 760);
}
TEST(CudaGemm, LargestTilesOfHalves) { check_large<BF16>(1400, 1420); }

template <class T, class Out = T>
void check_epilogues() {
  unsigned which = 0;
  for (const Activation& activation : test::kActivations)
    for (int64_t k : {0, 7, 40})
      for (int mask = 0; mask < 8; ++mask, ++which) {
        Wish wish{.shape = {29, 45, k}, .alpha = 0.5, .beta = -1.5, .activation = activation};
        wish.addend = mask & 1, wish.bias = mask & 2;
        if (mask & 4) wish.bias_axis = BiasAxis::kRow;
        SCOPED_TRACE("activation " + std::to_string(activation ? static_cast<int>(activation.function) : -1) + " k " + std::to_string(k) + " mask " +
                     std::to_string(mask));
        const std::vector<Out> apart = check_product<T, Out>(wish, kSeeds[which % 3]);
        wish.in_place = wish.addend;
        const std::vector<Out> in_place = check_product<T, Out>(wish, kSeeds[which % 3]);
        EXPECT_EQ(0, std::memcmp(apart.data(), in_place.data(), apart.size() * sizeof(Out)));
      }
}
TEST(CudaGemm, Epilogues) {
  check_epilogues<float>();
  check_epilogues<double>();
}
TEST(CudaGemm, EpiloguesOfHalves) {
  check_epilogues<BF16>();
  check_epilogues<F16, float>();
}

TEST(CudaGemm, AddendsOfOneRowOrColumn) {
  for (int64_t k : {12, 300})
    for (bool row : {false, true})
      for (bool column : {false, true}) {
        check_product<float>(
            {.shape = {9, 33, k}, .beta = 0.5, .addend = true, .addend_row = row, .addend_column = column, .slack = 1}, 1);
        check_product<F16>(
            {.shape = {9, 33, k}, .beta = 0.5, .addend = true, .addend_row = row, .addend_column = column, .slack = 1}, 2);
      }
}

// Few tiles and a long k: parts of k are summed apart. What was in the workspace before does not matter.
template <class T, class Out = T>
void check_split() {
  for (int64_t k : {256, 300, 1500})
    for (int t = 0; t < 4; ++t) {
      const Wish wish{.shape = {20, 40, k, (t & 1) != 0, (t & 2) != 0},
                      .alpha = 0.125,
                      .addend = true,
                      .bias = true,
                      .activation = Activation(UnaryOp::kTanh)};
      ASSERT_GT(cuda::gemm_workspace_bytes<T>(wish.shape), 0u);
      const auto one = check_product<T, Out>(wish, kSeeds[t % 3]),
                 other = check_product<T, Out>(wish, kSeeds[t % 3], nullptr, std::byte{0});
      EXPECT_EQ(0, std::memcmp(one.data(), other.data(), one.size() * sizeof(Out)));
    }
}
TEST(CudaGemm, SplitSums) {
  check_split<float>();
  check_split<double>();
  check_split<BF16>();
  check_split<F16, float>();
}

TEST(CudaGemm, Batches) {
  for (int64_t products : {2, 5})
    for (bool shared_b : {false, true})
      for (int t = 0; t < 4; ++t) {
        const Wish wish{.shape = {20, 30, 41, (t & 1) != 0, (t & 2) != 0},
                        .addend = true,
                        .slack = t % 2,
                        .products = products,
                        .shared_b = shared_b};
        check_product<float>(wish, kSeeds[t % 3]);
        check_product<BF16>(wish, kSeeds[t % 3]);
      }
}

// What a backward step adds: slopes and sums of an operand, with one tile and several, whole and in parts of k.
template <class T, class Out = T>
void check_backward() {
  unsigned which = 0;
  for (const auto& [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {5, 70, 33}, {70, 5, 0}, {37, 41, 300}})
    for (int t = 0; t < 4; ++t)
      for (UnaryGradOp slope :
           {UnaryGradOp::kRelu, UnaryGradOp::kSigmoid, UnaryGradOp::kTanh, UnaryGradOp::kGelu, UnaryGradOp::kGeluTanh}) {
        Wish wish{.shape = {m, n, k, (t & 1) != 0, (t & 2) != 0}, .alpha = 0.5, .slack = which % 2};
        SCOPED_TRACE(text(wish.shape) + " slope " + std::to_string(int(slope)));
        wish.slope = slope, wish.summed = which % 2 ? Operand::kA : Operand::kB;
        wish.tolerance = 2 * tolerance<T, Out>();
        check_product<T, Out>(wish, kSeeds[which++ % 3]);
      }
}
TEST(CudaGemm, Backward) {
  check_backward<float>();
  check_backward<double>();
}
TEST(CudaGemm, BackwardOfHalves) {
  check_backward<BF16>();
  check_backward<F16>();
  check_backward<F16, float>();
}

TEST(CudaGemm, BackwardOfManyTiles) {
  for (Operand summed : {Operand::kA, Operand::kB})
    for (bool transposed : {false, true}) {
      check_product<float>({.shape = {150, 140, 20, transposed, !transposed}, .slope = UnaryGradOp::kRelu, .summed = summed}, 1);
      check_product<BF16>({.shape = {150, 140, 20, transposed, !transposed}, .slope = UnaryGradOp::kRelu, .summed = summed}, 2);
    }
}

TEST(CudaGemm, SlopesOfBatches) {
  for (bool shared_b : {false, true})
    check_product<float>({.shape = {20, 30, 41}, .slack = 1, .products = 5, .shared_b = shared_b, .slope = UnaryGradOp::kRelu},
                         1);
}

TEST(CudaGemm, EmptySizesWriteNothing) {
  check_product<float>({.shape = {0, 5, 3}}, 1);
  check_product<float>({.shape = {5, 0, 3}, .slack = 1}, 1);
}

TEST(CudaGemm, WorkspaceGrowsWithTheShape) {
  for (int64_t k = 1; k < 5000; k += 31) {
    EXPECT_LE(cuda::gemm_workspace_bytes<float>({5, 40, k}), cuda::gemm_workspace_bytes<float>({6, 40, k + 7}));
    EXPECT_LE(cuda::gemm_workspace_bytes<float>({k, 40, 640}), cuda::gemm_workspace_bytes<float>({k + 7, 41, 640}));
  }
}

TEST(CudaGemm, SmallWorkspaceIsAnError) {
  DeviceMemory memory(4 * 1000 * 8);
  float* data = reinterpret_cast<float*>(memory.data());
  EXPECT_THROW(cuda::gemm<float>({}, {4, 4, 1000}, {.a = data, .lda = 1000, .b = data, .ldb = 4, .c = data + 4000, .ldc = 4}),
               Error);
}

TEST(CudaGemm, NanAndInfinityComeThrough) {
  Values<float> a = Values<float>::random({2, 4}, 1), b = Values<float>::random({4, 20}, 2);
  a[0] = std::numeric_limits<float>::quiet_NaN();
  a[7] = std::numeric_limits<float>::infinity();
  DeviceTensor da(a), db(b), dc(Values<float>(Shape{2, 20}));
  cuda::gemm<float>({}, {2, 20, 4},
                    {.a = da.view().as<float>().data(),
                     .lda = 4,
                     .b = db.view().as<float>().data(),
                     .ldb = 20,
                     .c = dc.view().as<float>().data(),
                     .ldc = 20,
                     .activation = Activation(UnaryOp::kRelu)});
  const Values<float> c = dc.values<float>();
  for (int64_t j = 0; j < 20; ++j) EXPECT_TRUE(std::isnan(c[j]));
  for (int64_t j = 20; j < 40; ++j) EXPECT_EQ(c[j], b[40 + j] > 0 ? std::numeric_limits<float>::infinity() : 0);
}

struct MatmulCase {
  Shape a, b;
  bool transpose_a = false, transpose_b = false;
};
const MatmulCase kMatmuls[] = {{{3, 4}, {4, 5}},
                               {{4}, {4, 5}},
                               {{3, 4}, {4}},
                               {{4}, {4}},
                               {{2, 3, 4}, {4, 5}},
                               {{3, 4}, {2, 4, 5}},
                               {{2, 1, 3, 4}, {6, 4, 5}},
                               {{6, 4, 3}, {2, 1, 4, 5}, true},
                               {{6, 3, 4}, {6, 5, 4}, false, true},
                               {{0, 3, 4}, {4, 5}},
                               {{2, 3, 0}, {0, 5}},
                               {{7, 2}, {2, 7, 3}, true},
                               {{2, 3, 4, 5}, {2, 3, 5, 6}},
                               {{3, 400}, {400, 5}}};

template <class T>
void check_matmul(const MatmulCase& one, bool epilogue, unsigned seed) {
  SCOPED_TRACE(to_string(one.a) + " x " + to_string(one.b));
  using W = Wide<T>;
  const Shape shape = matmul_shape(one.a, one.b, one.transpose_a, one.transpose_b);
  const Numbers<T> a(one.a.elements(), seed), b(one.b.elements(), seed + 10);
  const bool vector_b = one.b.rank() == 1;
  const int64_t n = vector_b ? 1 : one.b[one.b.rank() - (one.transpose_b ? 2 : 1)];
  const Numbers<T> bias(n, seed + 20);
  MatmulOptions options{.transpose_a = one.transpose_a, .transpose_b = one.transpose_b};
  if (epilogue) options.alpha = 0.5f, options.activation = Activation(UnaryOp::kSwish, {1});
  Values<W> expected(shape);
  MatmulOptions cpu_options = options;
  if (epilogue) cpu_options.bias = bias.wide.view();
  const auto as = [](const auto& values, const Shape& s) { return ConstTensorView{values.view().data, values.view().dtype, s}; };
  cpu::matmul(Context(cpu::matmul_workspace_bytes(dtype_of<W>, one.a, one.b, one.transpose_a, one.transpose_b, 1)),
              as(a.wide, one.a), as(b.wide, one.b), expected.view(), cpu_options);
  DeviceTensor da(as(a.values, one.a)), db(as(b.values, one.b)), d_bias(bias.values), dy(Values<T>{shape});
  if (epilogue) options.bias = d_bias.view();
  const DeviceContext context(cuda::matmul_workspace_bytes(dtype_of<T>, one.a, one.b, one.transpose_a, one.transpose_b));
  cuda::matmul(context, da.view(), db.view(), dy.view(), options);
  expect_twins(dy.values<T>(), expected, tolerance<T, T>());
}

TEST(CudaMatmul, BroadcastsAsItsTwin) {
  for (const MatmulCase& one : kMatmuls)
    for (unsigned seed : kSeeds)
      for (bool epilogue : {false, true}) {
        check_matmul<float>(one, epilogue, seed);
        check_matmul<double>(one, epilogue, seed);
        check_matmul<F16>(one, epilogue, seed);
        check_matmul<BF16>(one, epilogue, seed);
      }
}

}  // namespace
}  // namespace tandem::test
