// The CUDA products by our own kernels against the CPU's: ragged shapes, transposes, epilogues, batches, split sums, all float types.
#include "kernels/api/gemm.h"

#include <cstring>

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

struct Wish {
  GemmShape shape;
  double alpha = 1, beta = 1;
  bool addend = false, bias = false, in_place = false;
  bool addend_row = false, addend_column = false;  // the same for all rows, or for all columns
  BiasAxis bias_axis = BiasAxis::kColumn;
  Activation activation = Activation::kNone;
  int64_t slack = 0;  // of the leading dimensions
  int64_t products = 1;
  bool shared_b = false;
};

template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Random numbers rounded to T, and what they are.
template <class T>
struct Operand {
  Values<T> values;
  Values<Wide<T>> wide;
  Operand(int64_t n, unsigned seed) : values(Shape{n}), wide(Values<Wide<T>>::random({n}, seed)) {
    for (int64_t i = 0; i < n; ++i) {
      values[i] = rounded<T>(wide[i]);
      wide[i] = static_cast<Wide<T>>(number(values[i]));
    }
  }
};

template <class T, class Out>
double tolerance() {
  return std::is_same_v<Out, double> ? 1e-12 : std::is_same_v<Out, float> ? 2e-5 : kHalfTolerance<Out>;
}

// The bits of C by the CUDA kernel, after comparing them with the CPU's and finding the border around C as it was.
template <class T, class Out = T>
std::vector<Out> check(const Wish& w, unsigned seed, std::byte workspace_fill = std::byte{0xFF}) {
  using W = Wide<T>;
  const GemmShape& s = w.shape;
  const int64_t lda = (s.transpose_a ? s.m : s.k) + w.slack, ldb = (s.transpose_b ? s.k : s.n) + 2 * w.slack, ldc = s.n + 3 * w.slack;
  const int64_t a_size = (s.transpose_a ? s.k : s.m) * lda, b_size = (s.transpose_b ? s.n : s.k) * ldb, c_size = s.m * ldc;
  const Operand<T> a(w.products * a_size, seed), b((w.shared_b ? 1 : w.products) * b_size, seed + 10);
  const Operand<Out> addend(w.products * c_size, seed + 20), bias(std::max(s.m, s.n), seed + 30);
  Values<W> expanded = addend.wide;  // as the CPU takes it
  for (int64_t i = 0; i < w.products * c_size; ++i)
    if (w.addend_column && ldc > 0) expanded[i] = addend.wide[i / c_size * c_size + i % c_size / ldc * ldc];
  const GemmBatch batch{w.products, a_size, w.shared_b ? 0 : b_size, c_size, w.addend ? c_size : 0};

  Values<W> expected(Shape{w.products * c_size});
  std::fill(expected.data.begin(), expected.data.end(), W(-77));
  cpu::GemmArgs<W> cpu_args{.a = a.wide.data.data(), .lda = lda, .b = b.wide.data.data(), .ldb = ldb, .c = expected.data.data(), .ldc = ldc};
  cpu_args.alpha = static_cast<W>(w.alpha), cpu_args.beta = static_cast<W>(w.beta);
  if (w.addend) cpu_args.addend = expanded.data.data(), cpu_args.ld_addend = w.addend_row ? 0 : ldc;
  if (w.bias) cpu_args.bias = bias.wide.data.data(), cpu_args.bias_axis = w.bias_axis;
  cpu_args.activation = w.activation;
  cpu::batched_gemm(Context(cpu::gemm_workspace_bytes<W>(s, 1)), s, cpu_args, batch);

  Values<Out> before(expected.shape);
  std::fill(before.data.begin(), before.data.end(), rounded<Out>(-77));
  for (int64_t i = 0; w.in_place && i < w.products * c_size; ++i)
    if (i % ldc < s.n) before[i] = addend.values[i];
  DeviceTensor da(a.values), db(b.values), dc(before), d_addend(addend.values), d_bias(bias.values);
  const DeviceMemory workspace(cuda::gemm_workspace_bytes<T>(s), workspace_fill);
  cuda::GemmArgs<T, Out> args{.a = da.view().as<T>().data(), .lda = lda, .b = db.view().as<T>().data(), .ldb = ldb,
                              .c = dc.view().template as<Out>().data(), .ldc = ldc};
  args.alpha = static_cast<W>(w.alpha), args.beta = static_cast<W>(w.beta);
  if (w.addend) {
    args.addend = w.in_place ? args.c : d_addend.view().template as<Out>().data();
    args.ld_addend = w.addend_row ? 0 : ldc;
    args.addend_step = w.addend_column ? 0 : 1;
  }
  if (w.bias) args.bias = d_bias.view().template as<Out>().data(), args.bias_axis = w.bias_axis;
  args.activation = w.activation;
  KernelContext context{.workspace = {workspace.data(), cuda::gemm_workspace_bytes<T>(s)}};
  if (w.products == 1) cuda::gemm(context, s, args);
  else cuda::batched_gemm(context, s, args, batch);
  const Values<Out> result = dc.values<Out>();
  static_cast<void>(workspace.read());  // its fences
  expect_twins(result, expected, tolerance<T, Out>());
  return result.data;
}

std::string text(const GemmShape& s) {
  return std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k) + (s.transpose_a ? " A'" : "") +
         (s.transpose_b ? " B'" : "");
}

// Every transpose of shapes that are less than a tile, a tile, a little more; aligned lines and others; one seed after the other.
template <class T, class Out = T>
void check_shapes() {
  constexpr int64_t kShapes[][3] = {{1, 1, 1}, {1, 10, 64}, {33, 1, 17}, {7, 65, 5}, {32, 32, 16}, {64, 64, 64}, {31, 70, 40}, {65, 33, 100}, {70, 130, 33}};
  unsigned which = 0;
  for (const auto& [m, n, k] : kShapes)
    for (int t = 0; t < 4; ++t, ++which)
      for (int64_t slack : {0, 1, 8}) {
        const GemmShape shape{m, n, k, (t & 1) != 0, (t & 2) != 0};
        SCOPED_TRACE(text(shape) + " slack " + std::to_string(slack));
        check<T, Out>({.shape = shape, .slack = slack}, kSeeds[which % 3]);
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
  for (int t = 0; t < 4; ++t) check<T>({.shape = {m, n, 20, (t & 1) != 0, (t & 2) != 0}}, kSeeds[t % 3]);
}
TEST(CudaGemm, LargestTiles) {
  check_large<float>(1400, 1420);
  check_large<double>(700, 760);
}
TEST(CudaGemm, LargestTilesOfHalves) { check_large<BF16>(1400, 1420); }

template <class T, class Out = T>
void check_epilogues() {
  unsigned which = 0;
  for (Activation activation : {Activation::kNone, Activation::kRelu, Activation::kGelu, Activation::kSigmoid, Activation::kTanh, Activation::kSilu})
    for (int64_t k : {0, 7, 40})
      for (int mask = 0; mask < 8; ++mask, ++which) {
        Wish wish{.shape = {29, 45, k}, .alpha = 0.5, .beta = -1.5, .activation = activation};
        wish.addend = mask & 1, wish.bias = mask & 2;
        if (mask & 4) wish.bias_axis = BiasAxis::kRow;
        SCOPED_TRACE("activation " + std::to_string(int(activation)) + " k " + std::to_string(k) + " mask " + std::to_string(mask));
        const std::vector<Out> apart = check<T, Out>(wish, kSeeds[which % 3]);
        wish.in_place = wish.addend;
        const std::vector<Out> in_place = check<T, Out>(wish, kSeeds[which % 3]);
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
        check<float>({.shape = {9, 33, k}, .beta = 0.5, .addend = true, .addend_row = row, .addend_column = column, .slack = 1}, 1);
        check<F16>({.shape = {9, 33, k}, .beta = 0.5, .addend = true, .addend_row = row, .addend_column = column, .slack = 1}, 2);
      }
}

// Few tiles and a long k: parts of k are summed apart. What was in the workspace before does not matter.
template <class T, class Out = T>
void check_split() {
  for (int64_t k : {256, 300, 1000, 5000})
    for (int t = 0; t < 4; ++t) {
      const Wish wish{.shape = {20, 40, k, (t & 1) != 0, (t & 2) != 0}, .alpha = 0.125, .addend = true, .bias = true, .activation = Activation::kTanh};
      ASSERT_GT(cuda::gemm_workspace_bytes<T>(wish.shape), 0u);
      const auto one = check<T, Out>(wish, kSeeds[t % 3]), other = check<T, Out>(wish, kSeeds[t % 3], std::byte{0});
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
        const Wish wish{.shape = {20, 30, 41, (t & 1) != 0, (t & 2) != 0}, .addend = true, .slack = t % 2, .products = products, .shared_b = shared_b};
        check<float>(wish, kSeeds[t % 3]);
        check<BF16>(wish, kSeeds[t % 3]);
      }
}

TEST(CudaGemm, EmptySizesWriteNothing) {
  check<float>({.shape = {0, 5, 3}}, 1);
  check<float>({.shape = {5, 0, 3}, .slack = 1}, 1);
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
  EXPECT_THROW(cuda::gemm<float>({}, {4, 4, 1000}, {.a = data, .lda = 1000, .b = data, .ldb = 4, .c = data + 4000, .ldc = 4}), Error);
}

TEST(CudaGemm, NanAndInfinityComeThrough) {
  Values<float> a = Values<float>::random({2, 4}, 1), b = Values<float>::random({4, 20}, 2);
  a[0] = std::numeric_limits<float>::quiet_NaN();
  a[7] = std::numeric_limits<float>::infinity();
  DeviceTensor da(a), db(b), dc(Values<float>(Shape{2, 20}));
  cuda::gemm<float>({}, {2, 20, 4}, {.a = da.view().as<float>().data(), .lda = 4, .b = db.view().as<float>().data(), .ldb = 20,
                                     .c = dc.view().as<float>().data(), .ldc = 20, .activation = Activation::kRelu});
  const Values<float> c = dc.values<float>();
  for (int64_t j = 0; j < 20; ++j) EXPECT_TRUE(std::isnan(c[j]));
  for (int64_t j = 20; j < 40; ++j) EXPECT_EQ(c[j], b[40 + j] > 0 ? std::numeric_limits<float>::infinity() : 0);
}

struct MatmulCase {
  Shape a, b;
  bool transpose_a = false, transpose_b = false;
};
const MatmulCase kMatmuls[] = {
    {{3, 4}, {4, 5}}, {{4}, {4, 5}}, {{3, 4}, {4}}, {{4}, {4}}, {{2, 3, 4}, {4, 5}}, {{3, 4}, {2, 4, 5}}, {{2, 1, 3, 4}, {6, 4, 5}},
    {{6, 4, 3}, {2, 1, 4, 5}, true}, {{6, 3, 4}, {6, 5, 4}, false, true}, {{0, 3, 4}, {4, 5}}, {{2, 3, 0}, {0, 5}}, {{7, 2}, {2, 7, 3}, true},
    {{2, 3, 4, 5}, {2, 3, 5, 6}}, {{3, 400}, {400, 5}}};

template <class T>
void check_matmul(const MatmulCase& one, bool epilogue, unsigned seed) {
  SCOPED_TRACE(to_string(one.a) + " x " + to_string(one.b));
  using W = Wide<T>;
  const Shape shape = matmul_shape(one.a, one.b, one.transpose_a, one.transpose_b);
  const Operand<T> a(one.a.elements(), seed), b(one.b.elements(), seed + 10);
  const bool vector_b = one.b.rank() == 1;
  const int64_t n = vector_b ? 1 : one.b[one.b.rank() - (one.transpose_b ? 2 : 1)];
  const Operand<T> bias(n, seed + 20);
  MatmulOptions options{.transpose_a = one.transpose_a, .transpose_b = one.transpose_b};
  if (epilogue) options.alpha = 0.5f, options.activation = Activation::kSilu;
  Values<W> expected(shape);
  MatmulOptions cpu_options = options;
  if (epilogue) cpu_options.bias = bias.wide.view();
  const auto as = [](const auto& values, const Shape& s) { return ConstTensorView{values.view().data, values.view().dtype, s}; };
  cpu::matmul(Context(cpu::matmul_workspace_bytes(dtype_of<W>, one.a, one.b, one.transpose_a, one.transpose_b, 1)), as(a.wide, one.a),
              as(b.wide, one.b), expected.view(), cpu_options);
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
