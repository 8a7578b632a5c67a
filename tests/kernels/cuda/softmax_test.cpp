// The CUDA twin of softmax and its gradients against the CPU's.
#include "kernels/api/softmax.h"

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

using Kernel = void (*)(const KernelContext&, ConstTensorView, TensorView, const AxisView&);
using GradKernel = void (*)(const KernelContext&, ConstTensorView, ConstTensorView, TensorView, const AxisView&);

const Shape kShapes[] = {{1, 1}, {3, 1000}, {2, 5, 7}, {4, 257, 3}, {0, 4}, {4, 0}, {64, 64}, {1, 300, 1}};

template <class Body>
void for_each_axis(Body body) {
  for (const Shape& shape : kShapes)
    for (int axis = 0; axis < shape.rank(); ++axis)
      for (unsigned seed : kSeeds) body(shape, AxisView(shape, axis), seed);
}

template <class T>
void expect_equal(Kernel gpu, Kernel cpu) {
  for_each_axis([&](const Shape& shape, const AxisView& view, unsigned seed) {
    const auto x = Values<T>::random(shape, seed, 4);
    Values<T> expected(shape);
    cpu(Context(cpu::softmax_workspace(dtype_of<T>, view, 1)), x.view(), expected.view(), view);
    DeviceTensor dx(x), dy(Values<T>{shape});
    gpu({}, dx.view(), dy.view(), view);
    expect_twins(dy.values<T>(), expected);
    gpu({}, dx.view(), dx.view(), view);  // in place
    expect_twins(dx.values<T>(), expected);
  });
}

template <class T>
void expect_equal_grad(GradKernel gpu, GradKernel cpu) {
  for_each_axis([&](const Shape& shape, const AxisView& view, unsigned seed) {
    const auto y = Values<T>::random(shape, seed), dy = Values<T>::random(shape, seed + 100);
    Values<T> expected(shape);
    cpu(Context(cpu::softmax_workspace(dtype_of<T>, view, 1)), y.view(), dy.view(), expected.view(), view);
    DeviceTensor device_y(y), device_dy(dy), dx(Values<T>{shape});
    gpu({}, device_y.view(), device_dy.view(), dx.view(), view);
    expect_twins(dx.values<T>(), expected, std::is_same_v<T, float> ? 3e-5 : 1e-12);  // sums of up to 1000 products of normal numbers
  });
}

TEST(CudaSoftmax, EqualsItsTwin) {
  expect_equal<float>(cuda::softmax, cpu::softmax);
  expect_equal<double>(cuda::softmax, cpu::softmax);
}
TEST(CudaLogSoftmax, EqualsItsTwin) {
  expect_equal<float>(cuda::log_softmax, cpu::log_softmax);
  expect_equal<double>(cuda::log_softmax, cpu::log_softmax);
}
TEST(CudaSoftmaxGrad, EqualsItsTwin) {
  expect_equal_grad<float>(cuda::softmax_grad, cpu::softmax_grad);
  expect_equal_grad<double>(cuda::softmax_grad, cpu::softmax_grad);
  expect_equal_grad<float>(cuda::log_softmax_grad, cpu::log_softmax_grad);
}

template <class T>
void expect_half() {
  for_each_axis([](const Shape& shape, const AxisView& view, unsigned seed) {
    const Halves<T> x(shape, seed);
    Values<float> expected(shape);
    cpu::softmax(Context(cpu::softmax_workspace(DType::kF32, view, 1)), x.wide.view(), expected.view(), view);
    DeviceTensor dx(x.half), dy(Values<T>{shape});
    cuda::softmax({}, dx.view(), dy.view(), view);
    expect_twins(dy.values<T>(), expected, kHalfTolerance<T>);
  });
}
TEST(CudaSoftmax, RoundsHalvesOnce) {
  expect_half<F16>();
  expect_half<BF16>();
}

TEST(CudaHardmax, TakesTheFirstOfEqualOnes) {
  const Values<float> x({2, 5}, {1, 3, 3, 0, 3, -1, -1, -2, -1, -3});
  DeviceTensor dx(x), dy(Values<float>{x.shape});
  cuda::hardmax({}, dx.view(), dy.view(), AxisView(x.shape, 1));
  EXPECT_EQ(dy.values<float>().data, (std::vector<float>{0, 1, 0, 0, 0, 1, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace tandem::test
