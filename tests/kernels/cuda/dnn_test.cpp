// Convolutions through cuDNN against the CPU's: on the emulator by a stand-in that follows its documentation, on a device by
// itself.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include "kernels/cuda/library/cudnn.h"
#include "kernels/cuda/library/library.h"
#include "tests/kernels/cuda/conv_cases.h"
#include "tests/support/fake_libraries/cudnn.h"

namespace tandem::test {
namespace {

class CudaDnnConv : public testing::Test {
 protected:
  void SetUp() override {
    const cuda::LibraryStatus& status = cuda::library_status(cuda::Library::kCudnn);
    if (!status.usable()) GTEST_SKIP() << "no cuDNN: " << status.problem;
    if (void* const opened = dlopen(status.path.c_str(), RTLD_NOW | RTLD_NOLOAD))
      calls = reinterpret_cast<FakeCudnnCalls (*)()>(dlsym(opened, "fake_cudnn_calls"));
  }
  // Products that the stand-in made; -1: it is the real library.
  int products() const { return calls ? calls().forward + calls().input_grads + calls().weight_grads : -1; }

  cuda::Session session{nullptr};
  FakeCudnnCalls (*calls)() = nullptr;
};

TEST_F(CudaDnnConv, EqualsTheCpu) {
  const int before = products();
  unsigned seed = 0;
  for (const ConvCase& c : kConvCases) {
    check_case<float>(c, seed++, &session);
    check_case<double>(c, seed++, &session);
    check_case<F16>(c, seed++, &session);
    check_case<BF16>(c, seed++, &session);
  }
  if (calls) {
    EXPECT_GT(products(), before + 100);
  }
}

TEST_F(CudaDnnConv, LeavesToUsWhatItCannotSay) {
  if (!calls) GTEST_SKIP() << "the real library does not count";
  const auto asked = [&]<class T>(const ConvCase& c, T) {
    const int before = products();
    check_case<T>(c, 1, &session);
    return products() - before;
  };
  EXPECT_EQ(asked({"plain", {2, 3, 5, 6}, {4, 3, 3, 3}, 1, {}, {}, {1, 1, 1, 1}}, 0.0f), 5);
  EXPECT_EQ(asked({"more padding at the end", {2, 3, 5, 6}, {4, 3, 3, 3}, 1, {}, {}, {0, 0, 1, 1}}, 0.0f), 0);
  EXPECT_EQ(asked({"an end pad that no window reaches", {1, 3, 6, 6}, {4, 3, 3, 3}, 1, {2, 2}, {}, {1, 1, 0, 0}}, 0.0f), 5);
  EXPECT_EQ(asked({"depthwise", {1, 4, 6, 6}, {4, 1, 3, 3}, 4}, 0.0f), 0);
  EXPECT_EQ(asked({"groups", {1, 8, 6, 6}, {8, 4, 3, 3}, 2}, 0.0f), 5);
  EXPECT_EQ(asked({"groups that it refuses", {1, 8, 6, 6}, {8, 4, 3, 3}, 2}, 0.0), 0);
  EXPECT_EQ(asked({"no images", {0, 3, 6, 6}, {4, 3, 3, 3}}, 0.0f), 0);
}

// f32 is f32, unless the session allows TF32.
TEST_F(CudaDnnConv, RoundsToTf32OnlyWhereAllowed) {
  const ConvGeometry g = make_conv_geometry({1, 4, 6, 6}, {5, 4, 3, 3}, 1, {});
  const auto x = Values<float>::random(g.input_shape(1), 1), w = Values<float>::random(g.weight_shape(), 2, 0.2);
  Values<float> y(g.output_shape(1));
  cpu::conv(Context(cpu::conv_workspace_bytes(g, DType::kF32, 1).forward), g, x.view(), w.view(), y.view());
  const auto run = [&](cuda::Session& one) {
    DeviceTensor device_x(x), device_w(w), device_y(y);
    const DeviceContext memory(16 << 10);
    KernelContext context = memory;
    context.cuda = &one;
    cuda::conv(context, g, device_x.view(), device_w.view(), device_y.view());
    return device_y.values<float>();
  };
  expect_twins(run(session), y);
  if (calls) {
    EXPECT_EQ(calls().math, cuda::Cudnn::kFma);
  }
  cuda::Session fast(nullptr, cuda::Math::kFast);
  expect_twins(run(fast), y, 1e-2);
  if (calls) {
    EXPECT_EQ(calls().math, cuda::Cudnn::kDefault);
  }
}

TEST_F(CudaDnnConv, KeepsItsDescriptorsUntilTheSessionEnds) {
  if (!calls) GTEST_SKIP() << "the real library does not count";
  const int objects = calls().objects, handles = calls().handles;
  const ConvCase c{"plain", {2, 3, 5, 6}, {4, 3, 3, 3}};
  {
    cuda::Session one(nullptr);
    check_case<float>(c, 1, &one);
    const int kept = calls().objects;
    EXPECT_EQ(kept, objects + 3 * 4);  // two tensors, a filter and a convolution for each direction
    EXPECT_EQ(calls().handles, handles + 1);
    check_case<float>(c, 2, &one);
    EXPECT_EQ(calls().objects, kept);
  }
  EXPECT_EQ(calls().objects, objects);
  EXPECT_EQ(calls().handles, handles);
}

// An algorithm is taken only if the workspace is enough for it.
TEST_F(CudaDnnConv, TakesWhatFitsTheWorkspace) {
  if (!calls) GTEST_SKIP() << "the real library does not say which";
  const ConvGeometry g = make_conv_geometry({1, 4, 6, 6}, {5, 4, 3, 3}, 1, {});
  DeviceTensor x(Values<float>::random(g.input_shape(1), 1)), w(Values<float>::random(g.weight_shape(), 2)),
      y(Values<float>(g.output_shape(1)));
  const auto algorithm = [&](size_t workspace) {
    const DeviceContext memory(workspace);
    KernelContext context = memory;
    context.cuda = &session;
    cuda::conv(context, g, x.view(), w.view(), y.view());
    static_cast<void>(memory.memory.read());  // its fences
    return calls().algorithm;
  };
  EXPECT_EQ(algorithm(cuda::conv_workspace_bytes(g, DType::kF32).forward), cuda::Cudnn::kImplicitPrecomputedGemm);
  EXPECT_EQ(algorithm(100), cuda::Cudnn::kImplicitGemm);
  const int before = products();
  cuda::conv_input_grad({.cuda = &session}, g, w.view(), y.view(), x.view());
  EXPECT_EQ(products(), before);  // its only algorithm wants a workspace
}

// As where its other files are not found.
TEST_F(CudaDnnConv, WithoutAStartOurOwnKernelsRun) {
  if (!calls) GTEST_SKIP() << "the real library starts";
  const int before = products();
  setenv("FAKE_CUDNN_REFUSES", "1008", 1);
  check_case<float>(kConvCases[0], 1, &session);
  unsetenv("FAKE_CUDNN_REFUSES");
  EXPECT_EQ(session.dnn(), nullptr) << "tried once";
  EXPECT_EQ(session.dnn_problem(), "cudnnCreate failed with status 1008: an error of the stand-in");
  check_case<float>(kConvCases[0], 2, &session);
  EXPECT_EQ(products(), before);
}

TEST_F(CudaDnnConv, IsNotedAndNotMade) {
  const ConvGeometry g = make_conv_geometry({1, 4, 6, 6}, {5, 4, 3, 3}, 1, {});
  cuda::LaunchRecorder recorder;
  session.recorder = &recorder;
  const KernelContext context{.cuda = &session};
  Values<float> x(g.input_shape(1)), w(g.weight_shape()), y(g.output_shape(1));
  const int before = products();
  cuda::conv(context, g, x.view(), w.view(), y.view(), {.activation = Activation(UnaryOp::kTanh)});
  cuda::conv_input_grad(context, g, w.view(), y.view(), x.view());
  cuda::conv_weight_grad(context, g, x.view(), y.view(), w.view());
  EXPECT_EQ(products(), before);
  ASSERT_EQ(recorder.size(), 4u);
  EXPECT_EQ(recorder[0].kernel, "cudnnConvolutionForward");
  EXPECT_EQ(recorder[1].kernel, "finish_conv<float>");
  EXPECT_EQ(recorder[2].kernel, "cudnnConvolutionBackwardData");
  EXPECT_EQ(recorder[3].kernel, "cudnnConvolutionBackwardFilter");
}

}  // namespace
}  // namespace tandem::test
