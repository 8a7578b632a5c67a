// The CUDA twins of convolution against the CPU's: 1 to 3 axes, groups, dilations, strides and pads, all types.
#include "kernels/api/conv.h"

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

struct Case {
  const char* what;
  Shape x, w;
  int64_t groups = 1;
  std::vector<int64_t> strides = {}, dilations = {}, pads = {};
};

const Case kCases[] = {
    {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"first layer", {3, 1, 14, 14}, {32, 1, 3, 3}},
    {"more than one tile", {2, 12, 9, 9}, {70, 12, 3, 3}},
    {"no images", {0, 3, 6, 6}, {4, 3, 3, 3}},
    {"asymmetric pads", {2, 5, 7, 9}, {13, 5, 3, 2}, 1, {}, {}, {0, 2, 3, 1}},
    {"stride", {3, 7, 15, 16}, {9, 7, 3, 3}, 1, {2, 3}, {}, {1, 0, 1, 2}},
    {"large stride", {1, 8, 20, 21}, {4, 8, 2, 2}, 1, {5, 4}},
    {"stride and dilation", {1, 3, 17, 16}, {5, 3, 3, 4}, 1, {4, 6}, {2, 4}, {2, 3, 2, 6}},
    {"stride and dilation without a common divisor", {1, 3, 14, 15}, {6, 3, 3, 3}, 1, {3, 2}, {2, 3}, {2, 3, 2, 3}},
    {"one step of a wide stride", {1, 2, 5, 6}, {3, 2, 4, 4}, 1, {9, 7}, {}, {1, 0, 0, 1}},
    {"pads wider than the input", {1, 4, 2, 3}, {3, 4, 3, 3}, 1, {}, {}, {4, 5, 4, 5}},
    {"pads never reached by some taps", {1, 6, 3, 3}, {2, 6, 5, 5}, 1, {2, 2}, {}, {3, 3, 3, 3}},
    {"groups", {2, 12, 9, 8}, {15, 4, 3, 3}, 3, {}, {}, {1, 1, 1, 1}},
    {"groups, strided", {1, 12, 9, 8}, {16, 6, 3, 3}, 2, {2, 2}, {}, {1, 1, 1, 1}},
    {"depthwise", {2, 7, 10, 11}, {7, 1, 3, 3}, 7, {}, {}, {1, 1, 1, 1}},
    {"depthwise, strided and dilated", {2, 5, 13, 12}, {5, 1, 3, 2}, 5, {2, 3}, {2, 1}, {2, 1, 0, 1}},
    {"depthwise, two filters a channel", {2, 3, 8, 8}, {6, 1, 5, 5}, 3, {1, 2}, {}, {2, 2, 2, 2}},
    {"pointwise", {3, 40, 5, 7}, {37, 40, 1, 1}},
    {"pointwise, strided", {2, 33, 9, 8}, {14, 33, 1, 1}, 1, {2, 2}},
    {"many filters", {1, 5, 4, 4}, {131, 5, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"1-D", {2, 20, 50}, {11, 20, 5}, 1, {2}, {3}, {4, 6}},
    {"1-D, long", {1, 4, 1500}, {6, 4, 3}, 1, {}, {}, {1, 1}},
    {"3-D", {1, 8, 5, 6, 7}, {7, 8, 3, 2, 3}, 1, {2, 1, 1}, {1, 2, 1}, {1, 0, 1, 2, 1, 0}},
};

ConvGeometry geometry_of(const Case& c) {
  return make_conv_geometry(c.x, c.w, c.groups, {.kernel = {}, .strides = c.strides, .dilations = c.dilations, .pads = c.pads});
}

// f32 and f64 are their own; the CPU computes for the 16-bit ones in f32 from the same rounded numbers.
template <class T>
struct Numbers {
  Values<T> device;
  Values<std::conditional_t<std::is_same_v<T, double>, double, float>> host;
  Numbers(const Shape& shape, unsigned seed, double scale) : device(shape), host(decltype(host)::random(shape, seed, scale)) {
    for (size_t i = 0; i < host.data.size(); ++i) {
      device.data[i] = rounded<T>(host.data[i]);
      host.data[i] = static_cast<typename decltype(host.data)::value_type>(number(device.data[i]));
    }
  }
};

template <class T>
void check_case(const Case& c, unsigned seed) {
  SCOPED_TRACE(c.what);
  const ConvGeometry g = geometry_of(c);
  const Shape ys = g.output_shape(c.x[0]);
  // So that all sums are about 1.
  const double scale = 1 / std::sqrt(static_cast<double>(c.w.product(1, c.w.rank()))), dw_scale = 1 / std::sqrt(c.x[0] * g.window.output_size() + 1.0);
  const Numbers<T> x(c.x, seed, 1), w(c.w, seed + 10, scale), dy(ys, seed + 20, 1), bias({g.filters}, seed + 30, 1), residual(ys, seed + 40, 1),
      small_dy(ys, seed + 50, dw_scale);
  const DType host_type = x.host.view().dtype;
  const ConvWorkspace host = cpu::conv_workspace_bytes(g, host_type, 1);
  const ConvWorkspace device = cuda::conv_workspace_bytes(g, dtype_of<T>);
  const double tolerance = std::is_same_v<T, double> ? 1e-12 : std::is_same_v<T, float> ? 1e-5 : kHalfTolerance<T>;
  DeviceTensor device_x(x.device), device_w(w.device), device_dy(dy.device), device_bias(bias.device), device_residual(residual.device),
      device_small_dy(small_dy.device);
  auto y = dy.host, dx = x.host, dw = w.host;
  DeviceTensor device_y(dy.device), device_dx(x.device), device_dw(w.device);

  cpu::conv(Context(host.forward), g, x.host.view(), w.host.view(), y.view());
  cuda::conv(DeviceContext(device.forward), g, device_x.view(), device_w.view(), device_y.view());
  expect_twins(device_y.values<T>(), y, tolerance);
  const auto activation = static_cast<Activation>(seed % 6);
  cpu::conv(Context(host.forward), g, x.host.view(), w.host.view(), y.view(), {bias.host.view(), residual.host.view(), activation});
  cuda::conv(DeviceContext(device.forward), g, device_x.view(), device_w.view(), device_y.view(),
             {device_bias.view(), device_residual.view(), activation});
  expect_twins(device_y.values<T>(), y, tolerance);

  cpu::conv_input_grad(Context(host.input_grad), g, w.host.view(), dy.host.view(), dx.view());
  cuda::conv_input_grad(DeviceContext(device.input_grad), g, device_w.view(), device_dy.view(), device_dx.view());
  expect_twins(device_dx.values<T>(), dx, tolerance);
  cpu::conv_weight_grad(Context(host.weight_grad), g, x.host.view(), small_dy.host.view(), dw.view());
  cuda::conv_weight_grad(DeviceContext(device.weight_grad), g, device_x.view(), device_small_dy.view(), device_dw.view());
  expect_twins(device_dw.values<T>(), dw, tolerance);
}

TEST(CudaConv, AndItsGradientsEqualTheirTwins) {
  for (const Case& c : kCases)
    for (unsigned seed : kSeeds) check_case<float>(c, seed);
}
TEST(CudaConv, DoublesEqualTheirTwins) {
  for (const Case& c : kCases) check_case<double>(c, 4);
}
TEST(CudaConv, HalvesAreRoundedOnce) {
  for (const Case& c : kCases) {
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
  cpu::conv(Context(cpu::conv_workspace_bytes(g, y.view().dtype, 1).forward), g, x.host.view(), w.host.view(), y.view(), {bias.host.view()});
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
  for (int64_t batch : {1, 5, 40}) {
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
