// Products through cuBLASLt against the CPU's: on the emulator by a stand-in that follows its documentation, on a device by
// itself.
#include <dlfcn.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <cstring>

#include "kernels/cuda/library/library.h"
#include "tests/kernels/activations.h"
#include "tests/kernels/cuda/gemm_cases.h"
#include "tests/support/fake_libraries/cublas_lt.h"
#include "tests/support/fake_libraries/folder.h"

namespace tandem::test {
namespace {

// Before anything asks for the library.
class Libraries : public testing::Environment {
 public:
  void SetUp() override {
    const std::string blas = fake_library_folder("cublas_lt"), dnn = fake_library_folder("cudnn");
    if (!blas.empty() && !dnn.empty()) setenv("TANDEM_CUDA_LIBRARY_PATH", (blas + ":" + dnn).c_str(), 1);
  }
};
[[maybe_unused]] const testing::Environment* const kLibraries = testing::AddGlobalTestEnvironment(new Libraries);

template <class Function>
Function* fake_function(cuda::Library library, const char* name) {
  void* const opened = dlopen(cuda::library_status(library).path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  return opened ? reinterpret_cast<Function*>(dlsym(opened, name)) : nullptr;
}

class CudaBlas : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda::library_status(cuda::Library::kCublasLt).usable()) GTEST_SKIP() << "no cuBLASLt";
    calls = fake_function<FakeCublasLtCalls()>(cuda::Library::kCublasLt, "fake_cublas_lt_calls");
  }
  // Products that the stand-in made; -1: it is the real library.
  int products() const { return calls ? calls().products : -1; }
  template <class T, class Out = T>
  std::vector<Out> check(const Wish& wish, unsigned seed) {
    return check_product<T, Out>(wish, seed, &session);
  }

  cuda::Session session{nullptr};
  FakeCublasLtCalls (*calls)() = nullptr;
};

TEST_F(CudaBlas, IsFound) {
  const cuda::LibraryStatus& status = cuda::library_status(cuda::Library::kCublasLt);
  EXPECT_GE(status.version, 120000);
  EXPECT_THAT(status.path, testing::HasSubstr("libcublasLt"));
  EXPECT_NE(session.blas(), nullptr);
  EXPECT_EQ(session.blas(), session.blas());
}

// All transposes and leading dimensions: rows and columns change places and none is lost.
TEST_F(CudaBlas, EqualsTheCpu) {
  unsigned which = 0;
  const int before = products();
  int made = 0;
  for (const auto& [m, n, k] :
       {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {3, 40, 7}, {40, 3, 7}, {16, 24, 32}, {33, 17, 65}})
    for (int t = 0; t < 4; ++t)
      for (int64_t slack : {0, 1, 8}) {
        const Wish wish{.shape = {m, n, k, (t & 1) != 0, (t & 2) != 0}, .slack = slack};
        SCOPED_TRACE(text(wish.shape) + " slack " + std::to_string(slack));
        const unsigned seed = kSeeds[which++ % 3];
        check<float>(wish, seed);
        check<double>(wish, seed);
        check<F16>(wish, seed);
        check<BF16>(wish, seed);
        check<F16, float>(wish, seed);
        check<BF16, float>(wish, seed);
        made += 6;
      }
  if (calls) {
    EXPECT_EQ(products(), before + made);
  }
}

// All activations with and without addend and bias, apart and in place. What the library cannot fuse follows on C, rounded once
// more.
class CudaBlasEpilogues : public CudaBlas {
 protected:
  template <class T, class Out = T>
  void check_all() {
    unsigned which = 0;
    for (const Activation& activation : test::kActivations)
      for (int mask = 0; mask < 8; ++mask, ++which) {
        Wish wish{.shape = {19, 25, 30}, .alpha = 0.5, .beta = -1.5, .activation = activation, .slack = which % 2 * 3};
        wish.addend = mask & 1, wish.bias = mask & 2;
        if (mask & 4) wish.bias_axis = BiasAxis::kRow;
        if (sizeof(Out) == 2) wish.tolerance = 3 * kHalfTolerance<Out>;
        SCOPED_TRACE("activation " + std::to_string(activation ? static_cast<int>(activation.function) : -1) + " mask " + std::to_string(mask));
        check<T, Out>(wish, kSeeds[which % 3]);
        wish.in_place = wish.addend;
        check<T, Out>(wish, kSeeds[which % 3]);
      }
  }
};
TEST_F(CudaBlasEpilogues, F32) { check_all<float>(); }
TEST_F(CudaBlasEpilogues, F64) { check_all<double>(); }
TEST_F(CudaBlasEpilogues, Halves) {
  check_all<BF16>();
  check_all<F16>();
  check_all<BF16, float>();
}

TEST_F(CudaBlas, AddendsOfOneRowOrColumn) {
  for (bool row : {false, true})
    for (bool column : {false, true})
      for (Activation activation : {Activation(), Activation(UnaryOp::kRelu)})
        check<float>({.shape = {9, 33, 12},
                      .beta = 0.5,
                      .addend = true,
                      .addend_row = row,
                      .addend_column = column,
                      .activation = activation,
                      .slack = 1},
                     1);
}

TEST_F(CudaBlas, Batches) {
  for (bool shared_b : {false, true})
    for (int t = 0; t < 4; ++t) {
      Wish wish{.shape = {20, 30, 41, (t & 1) != 0, (t & 2) != 0},
                .addend = true,
                .bias = true,
                .slack = t % 2,
                .products = 5,
                .shared_b = shared_b};
      check<float>(wish, kSeeds[t % 3]);
      check<BF16>(wish, kSeeds[t % 3]);
      wish.activation = Activation(UnaryOp::kGelu);
      check<float>(wish, kSeeds[t % 3]);
    }
}

TEST_F(CudaBlas, ReluAndBiasAreFused) {
  if (!calls) GTEST_SKIP() << "only the stand-in tells";
  check<float>({.shape = {8, 8, 8}, .bias = true, .activation = Activation(UnaryOp::kRelu)}, 1);
  EXPECT_EQ(calls().epilogue, 6);  // CUBLASLT_EPILOGUE_RELU_BIAS
  check<float>({.shape = {8, 8, 8}, .bias = true, .activation = Activation(UnaryOp::kGelu)}, 1);
  EXPECT_EQ(calls().epilogue, 4);  // CUBLASLT_EPILOGUE_BIAS
  check<float>({.shape = {8, 8, 8}, .bias = true, .bias_axis = BiasAxis::kRow, .activation = Activation(UnaryOp::kRelu)}, 1);
  EXPECT_EQ(calls().epilogue, 1);  // CUBLASLT_EPILOGUE_DEFAULT
}

// Slopes and sums, on all transposes and leading dimensions, whether the library has them or not.
class CudaBlasBackward : public CudaBlas {
 protected:
  template <class T, class Out = T>
  void check_all() {
    unsigned which = 0;
    for (const auto& [m, n, k] :
         {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {9, 1, 5}, {1, 40, 7}, {19, 136, 30}, {40, 24, 65}})
      for (int t = 0; t < 4; ++t)
        for (int64_t slack : {0, 8, 1}) {
          Wish wish{.shape = {m, n, k, (t & 1) != 0, (t & 2) != 0}, .alpha = 0.5, .slack = slack};
          wish.tolerance = 3 * tolerance<T, Out>();
          SCOPED_TRACE(text(wish.shape) + " slack " + std::to_string(slack));
          for (UnaryGradOp slope : {UnaryGradOp::kRelu, UnaryGradOp::kGeluTanh, UnaryGradOp::kGelu}) {
            wish.slope = slope;
            check<T, Out>(wish, kSeeds[which++ % 3]);
          }
          for (Operand summed : {Operand::kA, Operand::kB}) {
            wish.summed = summed;
            check<T, Out>(wish, kSeeds[which++ % 3]);  // with a slope, too
            wish.slope.reset();
            check<T, Out>(wish, kSeeds[which++ % 3]);
          }
        }
  }
  int epilogue_of(const Wish& wish) {
    check<float>(wish, 1);
    return calls().epilogue;
  }
};
TEST_F(CudaBlasBackward, F32) { check_all<float>(); }
TEST_F(CudaBlasBackward, F64) { check_all<double>(); }
TEST_F(CudaBlasBackward, Halves) {
  check_all<BF16>();
  check_all<F16, float>();
}

TEST_F(CudaBlasBackward, SlopesAndSumsAreFused) {
  if (!calls) GTEST_SKIP() << "only the stand-in tells";
  const int before = products();
  EXPECT_EQ(epilogue_of({.shape = {9, 33, 8}, .slope = UnaryGradOp::kRelu}), 136);      // CUBLASLT_EPILOGUE_DRELU
  EXPECT_EQ(epilogue_of({.shape = {9, 32, 8}, .slope = UnaryGradOp::kGeluTanh}), 192);  // CUBLASLT_EPILOGUE_DGELU
  EXPECT_EQ(epilogue_of({.shape = {9, 32, 8}, .summed = Operand::kA}), 512);            // CUBLASLT_EPILOGUE_BGRADB
  EXPECT_EQ(epilogue_of({.shape = {9, 32, 8}, .summed = Operand::kB}), 256);            // CUBLASLT_EPILOGUE_BGRADA
  EXPECT_EQ(products(), before + 4);
}

// What was found for one call serves others, with sums and saved values elsewhere.
TEST_F(CudaBlasBackward, EachCallHasItsOwnPointers) {
  const auto a = Values<float>::random({64}, 1), b = Values<float>::random({64}, 2);
  DeviceTensor da(a), db(b), dc(Values<float>(Shape{64}));
  std::vector<Values<float>> sums, products_by;
  for (float gate : {-20.0f, 20.0f}) {
    Values<float> saved(Shape{64});
    std::fill(saved.data.begin(), saved.data.end(), gate);  // GELU is flat at the one, and straight at the other
    DeviceTensor d_saved(saved), d_sums(Values<float>(Shape{16}));
    const DeviceMemory workspace(8192);
    const KernelContext context{.cuda = &session, .workspace = {workspace.data(), 8192}};
    cuda::GemmArgs<float> args{.a = da.view().as<float>().data(),
                               .lda = 8,
                               .b = db.view().as<float>().data(),
                               .ldb = 8,
                               .c = dc.view().as<float>().data(),
                               .ldc = 8};
    args.backward.saved = d_saved.view().as<float>().data(), args.backward.slope = UnaryGradOp::kGeluTanh;
    cuda::gemm(context, {8, 8, 8}, args);
    products_by.push_back(dc.values<float>());
    args.backward = {.sums = d_sums.view().as<float>().data() + (gate > 0 ? 8 : 0), .summed = Operand::kB};
    cuda::gemm(context, {8, 8, 8}, args);
    sums.push_back(d_sums.values<float>());
  }
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(products_by[0][i], 0);
  EXPECT_NE(products_by[1][0], 0);
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(sums[0][i], sums[1][8 + i]);
}

// Then the library makes the product, and the rest follows.
TEST_F(CudaBlasBackward, WhatTheLibraryDoesNotFuseFollows) {
  if (!calls) GTEST_SKIP() << "only the stand-in tells";
  const int before = products();
  EXPECT_EQ(epilogue_of({.shape = {9, 33, 8}, .slope = UnaryGradOp::kGelu}), 1);      // it knows the other GELU
  EXPECT_EQ(epilogue_of({.shape = {9, 33, 8}, .slope = UnaryGradOp::kGeluTanh}), 1);  // 33 is no multiple of 8
  EXPECT_EQ(epilogue_of({.shape = {9, 33, 1}, .slope = UnaryGradOp::kRelu}), 1);      // k of 1
  EXPECT_EQ(epilogue_of({.shape = {1, 32, 8}, .summed = Operand::kA}), 1);            // one sum
  EXPECT_EQ(epilogue_of({.shape = {9, 32, 8}, .bias = true, .slope = UnaryGradOp::kRelu}), 4);
  EXPECT_EQ(epilogue_of({.shape = {9, 32, 8}, .products = 3, .slope = UnaryGradOp::kRelu}), 1);
  EXPECT_EQ(products(), before + 6);
}

TEST_F(CudaBlas, F32IsF32UnlessFast) {
  check<float>({.shape = {16, 16, 64}}, 1);
  if (calls) {  // CUBLAS_COMPUTE_32F
    EXPECT_EQ(calls().compute, 68);
  }
  cuda::Session fast(nullptr, cuda::Math::kFast);
  check_product<float>({.shape = {16, 16, 64}, .tolerance = 0.02}, 1, &fast);
  if (calls) {  // CUBLAS_COMPUTE_32F_FAST_TF32
    EXPECT_EQ(calls().compute, 77);
  }
  check_product<BF16>({.shape = {16, 16, 64}}, 1, &fast);
  if (calls) {
    EXPECT_EQ(calls().compute, 68);
  }
}

TEST_F(CudaBlas, OneSearchAShapeAndOnlyFixedOrdersOfSums) {
  if (!calls) GTEST_SKIP() << "only the stand-in tells";
  const int before = calls().searches;
  for (unsigned seed : kSeeds) check<float>({.shape = {12, 20, 28}, .bias = true}, seed);
  EXPECT_EQ(calls().searches, before + 1);
  EXPECT_EQ(calls().schemes, 2u);  // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
  check<float>({.shape = {12, 20, 29}, .bias = true}, 1);
  EXPECT_EQ(calls().searches, before + 2);
}

// An algorithm found for aligned matrices is no good for others of the same shape.
TEST_F(CudaBlas, LessAlignedMatricesHaveTheirOwnAlgorithm) {
  const auto a = Values<float>::random({65}, 1), b = Values<float>::random({65}, 2);
  DeviceTensor da(a), db(b), dc(Values<float>(Shape{65}));
  const DeviceMemory workspace(8192);
  const KernelContext context{.cuda = &session, .workspace = {workspace.data(), 8192}};
  for (int which : {0, 1, 2, 3}) {  // all aligned, then all but one
    const int64_t at_a = which == 1, at_b = which == 2, at_c = which == 3;
    cuda::gemm<float>(context, {8, 8, 8},
                      {.a = da.view().as<float>().data() + at_a,
                       .lda = 8,
                       .b = db.view().as<float>().data() + at_b,
                       .ldb = 8,
                       .c = dc.view().as<float>().data() + at_c,
                       .ldc = 8});
    const Values<float> c = dc.values<float>();
    for (int64_t i = 0; i < 64; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < 8; ++k) sum += double{a[at_a + i / 8 * 8 + k]} * b[at_b + k * 8 + i % 8];
      ASSERT_NEAR(c[at_c + i], sum, 1e-5);
    }
  }
}

TEST_F(CudaBlas, SameBitsEveryTime) {
  const Wish wish{.shape = {33, 65, 700}, .addend = true, .bias = true, .activation = Activation(UnaryOp::kRelu)};
  const std::vector<float> one = check_product<float>(wish, 1, &session),
                           other = check_product<float>(wish, 1, &session, std::byte{0});
  EXPECT_EQ(0, std::memcmp(one.data(), other.data(), one.size() * sizeof(float)));
}

// The stand-in has no f64 with ReLU, and no library takes k = 0: our own kernels do.
TEST_F(CudaBlas, WhatTheLibraryDoesNotHaveIsMadeByOurOwn) {
  const int before = products();
  check<double>({.shape = {10, 11, 12}, .activation = Activation(UnaryOp::kRelu)}, 1);
  check<float>({.shape = {10, 11, 0}, .bias = true}, 1);
  if (calls) {
    EXPECT_EQ(products(), before);
  }
}

TEST_F(CudaBlas, MatmulIsStridedOrOurOwn) {
  struct Case {
    Shape a, b;
    int by_library;
  };
  for (const Case& one : {Case{{3, 4}, {4, 5}, 1},
                          {{2, 3, 4}, {4, 5}, 1},
                          {{2, 3, 4}, {2, 4, 5}, 1},
                          {{2, 6, 3, 4}, {2, 6, 4, 5}, 1},
                          {{2, 1, 3, 4}, {6, 4, 5}, 0}}) {
    const Shape shape = matmul_shape(one.a, one.b);
    const auto a = Values<float>::random(one.a, 1), b = Values<float>::random(one.b, 2);
    Values<float> expected(shape);
    cpu::matmul(Context(cpu::matmul_workspace_bytes(DType::kF32, one.a, one.b, false, false, 1)), a.view(), b.view(),
                expected.view());
    DeviceTensor da(a), db(b), dy(Values<float>{shape});
    const DeviceMemory workspace(cuda::matmul_workspace_bytes(DType::kF32, one.a, one.b, false, false));
    const int before = products();
    cuda::matmul({.cuda = &session,
                  .workspace = {workspace.data(), cuda::matmul_workspace_bytes(DType::kF32, one.a, one.b, false, false)}},
                 da.view(), db.view(), dy.view());
    expect_twins(dy.values<float>(), expected);
    if (calls) {
      EXPECT_EQ(products() - before, one.by_library) << to_string(one.a) << to_string(one.b);
    }
  }
}

TEST_F(CudaBlas, RecordedNotMade) {
  cuda::LaunchRecorder records;
  cuda::Session noting(nullptr);
  noting.recorder = &records;
  const int before = products();
  cuda::gemm<float>({.cuda = &noting}, {4, 4, 4}, {.lda = 4, .ldb = 4, .ldc = 4, .activation = Activation(UnaryOp::kGelu)});
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].kernel, "cublasLtMatmul");
  EXPECT_THAT(records[1].kernel, testing::StartsWith("finish_in_place<"));
  EXPECT_EQ(products(), before);
}

TEST_F(CudaBlas, NothingIsLeftBehind) {
  if (!calls) GTEST_SKIP() << "only the stand-in tells";
  const FakeCublasLtCalls before = calls();
  {
    cuda::Session one(nullptr);
    check_product<float>({.shape = {4, 4, 4}, .bias = true}, 1, &one);
    EXPECT_EQ(calls().handles, before.handles + 1);
  }
  EXPECT_EQ(calls().handles, before.handles);
  EXPECT_EQ(calls().objects, before.objects);
}

TEST_F(CudaBlas, WithoutAStartOurOwnKernelRuns) {
  if (!calls) GTEST_SKIP() << "only the stand-in fails when asked to";
  const int before = products();
  setenv("FAKE_CUBLAS_LT_REFUSES", "1", 1);
  check<float>({.shape = {4, 4, 4}, .bias = true}, 1);
  unsetenv("FAKE_CUBLAS_LT_REFUSES");
  EXPECT_THAT(session.blas_problem(),
              testing::AllOf(testing::HasSubstr("cublasLtCreate"), testing::HasSubstr("the library was not initialized")));
  check<float>({.shape = {4, 4, 4}, .bias = true}, 2);
  EXPECT_EQ(session.blas(), nullptr) << "tried once";
  EXPECT_EQ(products(), before);
}

TEST_F(CudaBlas, WithoutAnAlgorithmOurOwnKernelRuns) {
  if (!calls) GTEST_SKIP() << "only the stand-in refuses when asked to";
  const Wish wish{.shape = {4, 4, 4}, .bias = true};
  const int before = products();
  for (const char* status : {"7", "8", "15"}) {
    cuda::Session refused(nullptr);
    setenv("FAKE_CUBLAS_LT_SEARCH_REFUSES", status, 1);
    check_product<float>(wish, 1, &refused);
    unsetenv("FAKE_CUBLAS_LT_SEARCH_REFUSES");
    check_product<float>(wish, 2, &refused);  // this kind stays with our own
  }
  for (const char* status : {"7", "15"}) {
    cuda::Session refused(nullptr);
    setenv("FAKE_CUBLAS_LT_PRODUCT_REFUSES", status, 1);
    check_product<float>(wish, 1, &refused);
    unsetenv("FAKE_CUBLAS_LT_PRODUCT_REFUSES");
    check_product<float>(wish, 2, &refused);
  }
  EXPECT_EQ(products(), before);
  check<float>(wish, 1);
  EXPECT_GT(products(), before);
}

TEST_F(CudaBlas, AFailureIsAnErrorInTheLibrarysWords) {
  if (!calls) GTEST_SKIP() << "only the stand-in fails when asked to";
  for (const char* call : {"FAKE_CUBLAS_LT_SEARCH_REFUSES", "FAKE_CUBLAS_LT_PRODUCT_REFUSES"}) {
    cuda::Session failed(nullptr);
    setenv(call, "13", 1);
    try {
      check_product<float>({.shape = {4, 4, 4}}, 1, &failed);
      ADD_FAILURE() << call;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kDevice);
      EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr("cublasLtMatmul"), testing::HasSubstr("an error of the stand-in")));
    }
    unsetenv(call);
  }
}

TEST(CudaSession, TheHandleOfCudnnKnowsTheStream) {
  if (!cuda::library_status(cuda::Library::kCudnn).usable()) GTEST_SKIP() << "no cuDNN";
  void* const stream = nullptr;
  cuda::Session session(stream);
  ASSERT_NE(session.dnn(), nullptr);
  EXPECT_EQ(session.dnn(), session.dnn());
  const auto stream_of = fake_function<void*(void*)>(cuda::Library::kCudnn, "fake_cudnn_stream");
  if (!stream_of) return;
  cuda::Session elsewhere(&session);
  EXPECT_EQ(stream_of(elsewhere.dnn()), &session);
}

}  // namespace
}  // namespace tandem::test
