// The convolutions that the tests of both ways, our kernels and the library, go through.
#pragma once

#include "kernels/api/conv.h"
#include "kernels/cuda/device/session.h"
#include "tests/kernels/activations.h"
#include "tests/kernels/cuda/twins.h"

namespace tandem::test {

struct ConvCase {
  const char* what;
  Shape x, w;
  int64_t groups = 1;
  std::vector<int64_t> strides = {}, dilations = {}, pads = {};
};

inline const ConvCase kConvCases[] = {
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

inline ConvGeometry geometry_of(const ConvCase& c) {
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

// All three directions, forward with and without an epilogue, apart and over the residual. The session says whether a library may
// be used.
template <class T>
void check_case(const ConvCase& c, unsigned seed, cuda::Session* session = nullptr) {
  SCOPED_TRACE(c.what);
  const ConvGeometry g = geometry_of(c);
  const Shape ys = g.output_shape(c.x[0]);
  // So that all sums are about 1.
  const double scale = 1 / std::sqrt(static_cast<double>(c.w.product(1, c.w.rank()))),
               dw_scale = 1 / std::sqrt(c.x[0] * g.window.output_size() + 1.0);
  const Numbers<T> x(c.x, seed, 1), w(c.w, seed + 10, scale), dy(ys, seed + 20, 1), bias({g.filters}, seed + 30, 1),
      residual(ys, seed + 40, 1), small_dy(ys, seed + 50, dw_scale);
  const DType host_type = x.host.view().dtype;
  const ConvWorkspace host = cpu::conv_workspace_bytes(g, host_type, 1);
  const ConvWorkspace device = cuda::conv_workspace_bytes(g, dtype_of<T>);
  const double tolerance = std::is_same_v<T, double> ? 1e-12 : std::is_same_v<T, float> ? 1e-5 : kHalfTolerance<T>;
  const auto context = [session](const DeviceContext& memory) {
    KernelContext one = memory;
    one.cuda = session;
    return one;
  };
  // A library takes less than it is offered here.
  const DeviceContext forward(std::min<size_t>(device.forward, 16 << 10)),
      input_grad(std::min<size_t>(device.input_grad, 16 << 10)), weight_grad(std::min<size_t>(device.weight_grad, 4 << 20));
  DeviceTensor device_x(x.device), device_w(w.device), device_dy(dy.device), device_bias(bias.device),
      device_residual(residual.device), device_small_dy(small_dy.device);
  auto y = dy.host, dx = x.host, dw = w.host;
  DeviceTensor device_y(dy.device), device_dx(x.device), device_dw(w.device);

  cpu::conv(Context(host.forward), g, x.host.view(), w.host.view(), y.view());
  cuda::conv(context(forward), g, device_x.view(), device_w.view(), device_y.view());
  expect_twins(device_y.values<T>(), y, tolerance);
  const auto activation = test::kActivations[seed % std::size(test::kActivations)];
  cpu::conv(Context(host.forward), g, x.host.view(), w.host.view(), y.view(),
            {bias.host.view(), residual.host.view(), activation});
  cuda::conv(context(forward), g, device_x.view(), device_w.view(), device_y.view(),
             {device_bias.view(), device_residual.view(), activation});
  // What a library computes without the epilogue is rounded once more.
  const double rounded_twice = session && tolerance > 1e-4 ? 3 * tolerance : tolerance;
  expect_twins(device_y.values<T>(), y, rounded_twice);
  cuda::conv(context(forward), g, device_x.view(), device_w.view(), device_residual.view(),
             {device_bias.view(), device_residual.view(), activation});
  expect_twins(device_residual.values<T>(), y, rounded_twice);

  cpu::conv_input_grad(Context(host.input_grad), g, w.host.view(), dy.host.view(), dx.view());
  cuda::conv_input_grad(context(input_grad), g, device_w.view(), device_dy.view(), device_dx.view());
  expect_twins(device_dx.values<T>(), dx, tolerance);
  cpu::conv_weight_grad(Context(host.weight_grad), g, x.host.view(), small_dy.host.view(), dw.view());
  cuda::conv_weight_grad(context(weight_grad), g, device_x.view(), device_small_dy.view(), device_dw.view());
  expect_twins(device_dw.values<T>(), dw, tolerance);
  for (const DeviceContext* memory : {&forward, &input_grad, &weight_grad})
    static_cast<void>(memory->memory.read());  // their fences
}

}  // namespace tandem::test
