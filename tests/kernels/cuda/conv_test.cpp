// The CUDA twins of convolution against the CPU's: 1 to 3 axes, groups, dilations, strides and pads, all types.
#include "tests/kernels/cuda/conv_cases.h"

namespace tandem::test {
namespace {

TEST(CudaConv, AndItsGradientsEqualTheirTwins) {
  for (const ConvCase& c : kConvCases)
    for (unsigned seed : kSeeds) check_case<float>(c, seed);
}
TEST(CudaConv, DoublesEqualTheirTwins) {
  for (const ConvCase& c : kConvCases) check_case<double>(c, 4);
}
TEST(CudaConv, HalvesAreRoundedOnce) {
  for (const ConvCase& c : kConvCases) {
    check_case<F16>(c, 5);
    check_case<BF16>(c, 6);
  }
}

// More than one tile a multiprocessor: the larger ones are taken.
template <class T>
void check_large(double tolerance) {
  const ConvGeometry g = make_conv_geometry({2, 2, 4300}, {70, 2, 3}, 1, {});
  const Numbers<T> x(g.input_shape(2), 1, 1), w(g.weight_shape(), 2, 0.5), bias({70}, 3, 1);
  decltype(x.host) y(g.output_shape(2));
  cpu::conv(Context(cpu::conv_workspace_bytes(g, y.view().dtype, 1).forward), g, x.host.view(), w.host.view(), y.view(),
            {bias.host.view()});
  DeviceTensor device_x(x.device), device_w(w.device), device_bias(bias.device), device_y(Values<T>{y.shape});
  cuda::conv({}, g, device_x.view(), device_w.view(), device_y.view(), {device_bias.view()});
  expect_twins(device_y.values<T>(), y, tolerance);
}
TEST(CudaConv, LargeOnesEqualTheirTwins) {
  check_large<float>(1e-5);
  check_large<BF16>(kHalfTolerance<BF16>);
}

// The same bits with another batch beside it, so that a served request does not depend on its neighbours.
TEST(CudaConv, IsTheSameInEveryBatch) {
  const ConvGeometry g = make_conv_geometry({3, 5, 12, 12}, {40, 5, 3, 3}, 1, {});
  const auto x = Values<float>::random(g.input_shape(3), 1), w = Values<float>::random(g.weight_shape(), 2);
  DeviceTensor device_x(x), device_w(w), all(Values<float>{g.output_shape(3)}), first(Values<float>{g.output_shape(1)});
  cuda::conv({}, g, device_x.view(), device_w.view(), all.view());
  ConstTensorView image = device_x.view();
  image.shape = g.input_shape(1);
  cuda::conv({}, g, image, device_w.view(), first.view());
  const auto whole = all.values<float>().data, part = first.values<float>().data;
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin()));
}

// A sum that is cut into parts fits the workspace that was asked for without the batch.
TEST(CudaConvWeightGrad, NeedsNoMoreWorkspaceForALargerBatch) {
  const ConvGeometry g = make_conv_geometry({1, 2, 9, 9}, {3, 2, 3, 3}, 1, {});
  for (int64_t batch : {1, 5, 70}) {
    const auto x = Values<float>::random(g.input_shape(batch), 1), dy = Values<float>::random(g.output_shape(batch), 2, 0.1);
    Values<float> dw(g.weight_shape());
    cpu::conv_weight_grad(Context(cpu::conv_workspace_bytes(g, DType::kF32, 1).weight_grad), g, x.view(), dy.view(), dw.view());
    DeviceTensor device_x(x), device_dy(dy), device_dw(dw);
    const DeviceContext context(cuda::conv_workspace_bytes(g, DType::kF32).weight_grad);
    cuda::conv_weight_grad(context, g, device_x.view(), device_dy.view(), device_dw.view());
    expect_twins(device_dw.values<float>(), dw, 3e-5);
    static_cast<void>(context.memory.read());  // its fences
  }
}

}  // namespace
}  // namespace tandem::test
