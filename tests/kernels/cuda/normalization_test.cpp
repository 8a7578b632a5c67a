// The CUDA twins of batch and layer normalization and their gradients against the CPU's.
#include "kernels/api/batch_norm.h"
#include "kernels/api/layer_norm.h"
#include "kernels/cuda/device/session.h"
#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

constexpr double kEpsilon = 1e-5, kMomentum = 0.8;

// f32 sums of thousands of products.
template <class T>
constexpr double kGradTolerance = std::is_same_v<T, float> ? 3e-5 : 1e-11;

template <class T>
Values<T> positive(const Shape& shape, unsigned seed) {
  auto values = Values<T>::random(shape, seed);
  for (T& v : values.data) v = std::abs(v) + T(0.5);
  return values;
}

// Channels alone and many, without space, with little and much of it; several chunks of rows (5000, 9000) and of columns (700).
const Shape kImages[] = {{4, 3}, {700, 40}, {6, 5}, {2, 3, 4}, {3, 7, 5, 5}, {2, 2, 50, 50}, {9000, 1}, {5, 600, 3}, {1, 1, 7}};

template <class T>
struct Image {
  Values<T> x, dy, scale, bias, mean, var;
  Image(const Shape& shape, unsigned seed)
      : x(Values<T>::random(shape, seed, 2)),
        dy(Values<T>::random(shape, seed + 1)),
        scale(Values<T>::random({shape[1]}, seed + 2)),
        bias(Values<T>::random({shape[1]}, seed + 3)),
        mean(Values<T>::random({shape[1]}, seed + 4)),
        var(positive<T>({shape[1]}, seed + 5)) {
    for (T& v : x.data) v += 3;  // a mean that is not 0
  }
};

template <class T, class Body>
void for_each_image(Body body) {
  for (const Shape& shape : kImages)
    for (unsigned seed : kSeeds) {
      SCOPED_TRACE(to_string(shape) + " seed " + std::to_string(seed));
      body(Image<T>(shape, seed));
    }
}

template <class T>
void expect_equal_inference() {
  for_each_image<T>([](const Image<T>& i) {
    Values<T> expected(i.x.shape);
    cpu::batch_norm(Context(cpu::batch_norm_workspace(i.x.shape, dtype_of<T>, 1)),
                    {i.x.view(), i.scale.view(), i.bias.view(), i.mean.view(), i.var.view()}, expected.view(), kEpsilon);
    const DeviceTensor scale(i.scale), bias(i.bias), mean(i.mean), var(i.var);
    DeviceTensor x(i.x), y(Values<T>{i.x.shape});
    const BatchNormViews views{x.view(), scale.view(), bias.view(), mean.view(), var.view()};
    cuda::batch_norm({}, views, y.view(), kEpsilon);
    expect_twins(y.values<T>(), expected);
    cuda::batch_norm({}, views, x.view(), kEpsilon);  // in place
    expect_twins(x.values<T>(), expected);
  });
}
TEST(CudaBatchNorm, InfersAsItsTwin) {
  expect_equal_inference<float>();
  expect_equal_inference<double>();
}

template <class T>
void expect_equal_training() {
  for_each_image<T>([](const Image<T>& i) {
    Values<T> expected(i.x.shape), new_mean(i.mean.shape), new_var(i.var.shape);
    cpu::batch_norm_train(Context(cpu::batch_norm_workspace(i.x.shape, dtype_of<T>, 1)),
                          {i.x.view(), i.scale.view(), i.bias.view(), i.mean.view(), i.var.view()}, expected.view(),
                          new_mean.view(), new_var.view(), kEpsilon, kMomentum);
    const DeviceTensor scale(i.scale), bias(i.bias);
    DeviceTensor x(i.x), y(Values<T>{i.x.shape}), mean(i.mean), var(i.var);
    const BatchNormViews views{x.view(), scale.view(), bias.view(), mean.view(), var.view()};
    const DeviceContext context(cuda::batch_norm_workspace(i.x.shape));
    cuda::batch_norm_train(context, views, y.view(), {}, {}, kEpsilon, kMomentum);
    expect_twins(y.values<T>(), expected, kGradTolerance<T>);
    cuda::batch_norm_train(context, views, x.view(), mean.view(), var.view(), kEpsilon, kMomentum);  // all in place
    expect_twins(x.values<T>(), expected, kGradTolerance<T>);
    expect_twins(mean.values<T>(), new_mean);
    expect_twins(var.values<T>(), new_var);
    static_cast<void>(context.memory.read());  // its fences
  });
}
TEST(CudaBatchNorm, TrainsAsItsTwin) {
  expect_equal_training<float>();
  expect_equal_training<double>();
}

// The variance of numbers far from 0, where the mean of the squares has no digits left.
TEST(CudaBatchNorm, KeepsTheVarianceOfALargeMean) {
  for (const Shape& shape : {Shape{2, 2, 50, 50}, Shape{700, 2}}) {
    auto x = Values<float>::random(shape, 1);
    for (float& v : x.data) v = 10000 + std::round(v * 8) / 8;
    const Values<float> one({2}, {1, 1}), zero({2});
    const DeviceTensor dx(x), scale(one), bias(zero);
    DeviceTensor y(Values<float>{shape}), mean(zero), var(zero);
    cuda::batch_norm_train(DeviceContext(cuda::batch_norm_workspace(shape)),
                           {dx.view(), scale.view(), bias.view(), mean.view(), var.view()}, y.view(), mean.view(), var.view(),
                           kEpsilon, 0);
    const auto means = mean.values<float>(), vars = var.values<float>();
    const int64_t inner = shape.product(2, shape.rank());
    for (int64_t c = 0; c < 2; ++c) {
      double sum = 0, squares = 0, n = 0;
      for (int64_t i = 0; i < shape.elements(); ++i)
        if (i / inner % 2 == c) sum += x[i], ++n;
      for (int64_t i = 0; i < shape.elements(); ++i)
        if (i / inner % 2 == c) squares += (x[i] - sum / n) * (x[i] - sum / n);
      EXPECT_NEAR(means[c], sum / n, 1e-3);
      EXPECT_NEAR(vars[c], squares / n, 1e-5);
    }
  }
}

template <class T>
void expect_equal_batch_grad(bool given) {
  for_each_image<T>([&](const Image<T>& i) {
    Values<T> dx(i.x.shape), dscale(i.scale.shape), dbias(i.scale.shape);
    const ConstTensorView null;
    cpu::batch_norm_grad(Context(cpu::batch_norm_workspace(i.x.shape, dtype_of<T>, 1)),
                         {i.dy.view(), i.x.view(), i.scale.view(), given ? i.mean.view() : null, given ? i.var.view() : null,
                          dx.view(), dscale.view(), dbias.view()},
                         kEpsilon);
    const DeviceTensor scale(i.scale), mean(i.mean), var(i.var);
    for (int place = 0; place < 3; ++place) {  // dx apart, in dy, in x
      DeviceTensor x(i.x), dy(i.dy), apart(Values<T>{i.x.shape}), out_scale(Values<T>{i.scale.shape}),
          out_bias(Values<T>{i.scale.shape});
      DeviceTensor& out = place == 0 ? apart : place == 1 ? dy : x;
      const DeviceContext context(cuda::batch_norm_workspace(i.x.shape));
      cuda::batch_norm_grad(context,
                            {std::as_const(dy).view(), std::as_const(x).view(), scale.view(), given ? mean.view() : null,
                             given ? var.view() : null, out.view(), out_scale.view(), out_bias.view()},
                            kEpsilon);
      expect_twins(out.values<T>(), dx, kGradTolerance<T>);
      expect_twins(out_scale.values<T>(), dscale, kGradTolerance<T>);
      expect_twins(out_bias.values<T>(), dbias, kGradTolerance<T>);
      static_cast<void>(context.memory.read());  // its fences
    }
  });
}
TEST(CudaBatchNormGrad, EqualsItsTwin) {
  expect_equal_batch_grad<float>(false);
  expect_equal_batch_grad<double>(false);
}
TEST(CudaBatchNormGrad, WithGivenStatisticsEqualsItsTwin) {
  expect_equal_batch_grad<float>(true);
  expect_equal_batch_grad<double>(true);
}
TEST(CudaBatchNormGrad, SkipsWhatIsNotWanted) {
  const Image<float> i({3, 7, 5, 5}, 1);
  Values<float> dbias(i.scale.shape);
  cpu::batch_norm_grad({}, {i.dy.view(), i.x.view(), i.scale.view(), {}, {}, {}, {}, dbias.view()}, kEpsilon);
  const DeviceTensor x(i.x), dy(i.dy), scale(i.scale);
  DeviceTensor out(Values<float>{i.scale.shape});
  cuda::batch_norm_grad({}, {dy.view(), x.view(), scale.view(), {}, {}, {}, {}, out.view()}, kEpsilon);
  expect_twins(out.values<float>(), dbias, kGradTolerance<float>);
}
TEST(CudaBatchNorm, OfNothingHasNanStatistics) {
  const Values<float> channels({2}, {1, 1});
  const DeviceTensor x(Values<float>{{0, 2, 3}}), given(channels);
  DeviceTensor y(Values<float>{{0, 2, 3}}), mean(channels), var(channels), dscale(channels);
  cuda::batch_norm_train({}, {x.view(), given.view(), given.view(), given.view(), given.view()}, y.view(), mean.view(),
                         var.view(), kEpsilon, kMomentum);
  EXPECT_TRUE(std::isnan(mean.values<float>()[1]) && std::isnan(var.values<float>()[1]));
  cuda::batch_norm_grad({}, {x.view(), x.view(), given.view(), {}, {}, y.view(), dscale.view(), {}}, kEpsilon);
  EXPECT_EQ(dscale.values<float>().data, (std::vector<float>{0, 0}));
}

template <class T>
void expect_half_batch() {
  for (unsigned seed : kSeeds) {
    const Shape shape{3, 5, 40, 40}, channels{5};
    const Halves<T> x(shape, seed), scale(channels, seed + 1), bias(channels, seed + 2);
    Values<float> expected(shape), old(channels), mean(channels), var(channels);
    cpu::batch_norm_train({}, {x.wide.view(), scale.wide.view(), bias.wide.view(), old.view(), old.view()}, expected.view(),
                          mean.view(), var.view(), kEpsilon, kMomentum);
    DeviceTensor dx(x.half), y(Values<T>{shape}), dscale(scale.half), dbias(bias.half), dmean(Values<T>{channels}),
        dvar(Values<T>{channels});
    const DeviceContext context(cuda::batch_norm_workspace(shape));
    cuda::batch_norm_train(context, {dx.view(), dscale.view(), dbias.view(), dmean.view(), dvar.view()}, y.view(), dmean.view(),
                           dvar.view(), kEpsilon, kMomentum);
    expect_twins(y.values<T>(), expected, kHalfTolerance<T>);
    expect_twins(dvar.values<T>(), var, kHalfTolerance<T>);
  }
}
TEST(CudaBatchNorm, RoundsHalvesOnce) {
  expect_half_batch<F16>();
  expect_half_batch<BF16>();
}

struct Rows {
  int64_t rows, length;
};
// Part of a warp a row, a block, sums beside the shared memory (7000), many rows to a block, none.
const Rows kRows[] = {{1, 1}, {5, 10}, {70, 33}, {3, 300}, {6, 1100}, {2, 7000}, {2500, 3}, {0, 8}};

template <class T, auto on_cpu, auto on_cuda>
void expect_equal_layer() {
  for (const auto [rows, length] : kRows)
    for (unsigned seed : kSeeds) {
      const auto x = Values<T>::random({rows, length}, seed, 3), scale = Values<T>::random({length}, seed + 1),
                 bias = Values<T>::random({length}, seed + 2);
      const bool biased = seed != 2;
      Values<T> expected(x.shape);
      Values<float> mean({rows}), inverse({rows});
      const ConstTensorView null;
      on_cpu({}, {x.view(), scale.view(), biased ? bias.view() : null, expected.view(), mean.view(), inverse.view()},
                      rows, length, kEpsilon);
      const DeviceTensor dscale(scale), dbias(bias);
      DeviceTensor dx(x), y(Values<T>{x.shape}), dmean(Values<float>{mean.shape}), dinverse(Values<float>{mean.shape});
      const ConstTensorView device_bias = biased ? dbias.view() : null;
      on_cuda({}, {dx.view(), dscale.view(), device_bias, y.view(), dmean.view(), dinverse.view()}, rows, length,
                       kEpsilon);
      expect_twins(y.values<T>(), expected);
      expect_twins(dmean.values<float>(), mean);
      expect_twins(dinverse.values<float>(), inverse);
      on_cuda({}, {dx.view(), dscale.view(), device_bias, dx.view(), {}, {}}, rows, length, kEpsilon);  // in place
      expect_twins(dx.values<T>(), expected);
    }
}
TEST(CudaLayerNorm, EqualsItsTwin) {
  expect_equal_layer<float, cpu::layer_norm, cuda::layer_norm>();
  expect_equal_layer<float, cpu::rms_norm, cuda::rms_norm>();
  expect_equal_layer<double, cpu::layer_norm, cuda::layer_norm>();
  expect_equal_layer<double, cpu::rms_norm, cuda::rms_norm>();
}

template <class T, auto on_cpu, auto on_cuda>
void expect_equal_layer_grad() {
  for (const auto [rows, length] : kRows)
    for (unsigned seed : kSeeds) {
      SCOPED_TRACE(std::to_string(rows) + " rows of " + std::to_string(length));
      const auto x = Values<T>::random({rows, length}, seed, 3), dy = Values<T>::random({rows, length}, seed + 1),
                 scale = Values<T>::random({length}, seed + 2);
      Values<T> dx(x.shape), dscale(scale.shape), dbias(scale.shape);
      on_cpu(Context(cpu::layer_norm_grad_workspace(rows, length, dtype_of<T>, 1)),
                           {dy.view(), x.view(), scale.view(), dx.view(), dscale.view(), dbias.view()}, rows, length, kEpsilon);
      const DeviceTensor device_scale(scale);
      const DeviceContext context(cuda::layer_norm_grad_workspace(rows, length, dtype_of<T>));
      for (int place = 0; place < 3; ++place) {  // dx apart, in dy, in x
        DeviceTensor device_x(x), device_dy(dy), apart(Values<T>{x.shape}), out_scale(Values<T>{scale.shape}),
            out_bias(Values<T>{scale.shape});
        DeviceTensor& out = place == 0 ? apart : place == 1 ? device_dy : device_x;
        on_cuda(context,
                              {std::as_const(device_dy).view(), std::as_const(device_x).view(), device_scale.view(), out.view(),
                               out_scale.view(), place == 2 ? TensorView{} : out_bias.view()},
                              rows, length, kEpsilon);
        expect_twins(out.values<T>(), dx, kGradTolerance<T>);
        expect_twins(out_scale.values<T>(), dscale, kGradTolerance<T>);
        if (place != 2) expect_twins(out_bias.values<T>(), dbias, kGradTolerance<T>);
      }
      static_cast<void>(context.memory.read());  // its fences
    }
}
TEST(CudaLayerNormGrad, EqualsItsTwin) {
  expect_equal_layer_grad<float, cpu::layer_norm_grad, cuda::layer_norm_grad>();
  expect_equal_layer_grad<float, cpu::rms_norm_grad, cuda::rms_norm_grad>();
  expect_equal_layer_grad<double, cpu::layer_norm_grad, cuda::layer_norm_grad>();
  expect_equal_layer_grad<double, cpu::rms_norm_grad, cuda::rms_norm_grad>();
}

// A block has 48 KiB without asking, of which the reductions' static part takes some: just below that, rows do not fit.
TEST(CudaLayerNormGrad, LeavesRoomForStaticSharedMemory) {
  for (int64_t length : {5500, 5900, 6144}) {
    const auto x = Values<float>::random({1, length}, 1), scale = Values<float>::random({length}, 2);
    const DeviceTensor device_x(x), device_scale(scale);
    DeviceTensor dx(Values<float>{x.shape}), dscale(Values<float>{scale.shape});
    const DeviceContext context(cuda::layer_norm_grad_workspace(1, length, DType::kF32));
    cuda::LaunchRecorder records;
    cuda::Session session(nullptr);
    session.recorder = &records;
    KernelContext noting = context;
    noting.cuda = &session;
    cuda::layer_norm_grad(noting, {device_x.view(), device_x.view(), device_scale.view(), dx.view(), dscale.view(), {}}, 1,
                          length, kEpsilon);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].shared, length == 5500 ? 2 * 5500 * 4 : 0);
  }
}

template <class T>
void expect_half_layer() {
  for (unsigned seed : kSeeds) {
    const Halves<T> x({9, 200}, seed), dy({9, 200}, seed + 1), scale({200}, seed + 2);
    Values<float> y(x.wide.shape), dx(x.wide.shape), dscale({200}), dbias({200});
    cpu::layer_norm({}, {x.wide.view(), scale.wide.view(), {}, y.view(), {}, {}}, 9, 200, kEpsilon);
    cpu::layer_norm_grad(Context(cpu::layer_norm_grad_workspace(9, 200, DType::kF32, 1)),
                         {dy.wide.view(), x.wide.view(), scale.wide.view(), dx.view(), dscale.view(), dbias.view()}, 9, 200,
                         kEpsilon);
    const DeviceTensor device_x(x.half), device_dy(dy.half), device_scale(scale.half);
    DeviceTensor out(Values<T>{x.half.shape}), grad(Values<T>{x.half.shape}), out_scale(Values<T>{{200}}),
        out_bias(Values<T>{{200}});
    cuda::layer_norm({}, {device_x.view(), device_scale.view(), {}, out.view(), {}, {}}, 9, 200, kEpsilon);
    cuda::layer_norm_grad(
        DeviceContext(cuda::layer_norm_grad_workspace(9, 200, dtype_of<T>)),
        {device_dy.view(), device_x.view(), device_scale.view(), grad.view(), out_scale.view(), out_bias.view()}, 9, 200,
        kEpsilon);
    expect_twins(out.values<T>(), y, kHalfTolerance<T>);
    expect_twins(grad.values<T>(), dx, kHalfTolerance<T>);
    expect_twins(out_scale.values<T>(), dscale, kHalfTolerance<T>);
    expect_twins(out_bias.values<T>(), dbias, kHalfTolerance<T>);
  }
}
TEST(CudaLayerNorm, RoundsHalvesOnce) {
  expect_half_layer<F16>();
  expect_half_layer<BF16>();
}

}  // namespace
}  // namespace tandem::test
