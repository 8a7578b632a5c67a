// The CUDA twins of the optimizers against the CPU's: one step on ragged and on misaligned ranges, all options, skipped steps.
#include "kernels/api/optimizer.h"

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

constexpr int64_t kSizes[] = {0, 1, 3, 4, 255, 1027, 4096};

const SgdOptions kSgd[] = {{}, {.momentum = 0.9}, {.momentum = 0.9, .nesterov = true, .weight_decay = 0.01}};
const AdamOptions kAdam[] = {{}, {.weight_decay = 0.1}, {.beta1 = 0.8, .weight_decay = 0.1, .decoupled = true}};

template <class T>
Values<T> scalar(T value) {
  return Values<T>(Shape{}, std::vector<T>{value});
}

// `range` without its first element: 16-byte accesses are impossible there.
template <class View>
View shifted(View range) {
  range.data += size_of(range.dtype);
  range.shape.set(0, range.shape[0] - 1);
  return range;
}

// Absolute values: second moments are not negative.
template <class T>
Values<T> random_moments(const Shape& shape, unsigned seed) {
  Values<T> values = Values<T>::random(shape, seed);
  for (T& value : values.data) value = std::abs(value);
  return values;
}

// A bool scalar (std::vector<bool> has no memory to look at).
struct OneByte {
  std::byte value;
  ConstTensorView view() const { return {&value, DType::kBool, {}}; }
};

enum class Skip { kAbsent, kNo, kYes };

template <class T>
void expect_sgd(int64_t n, unsigned seed, const SgdOptions& options, Skip skip, bool scaled, bool misaligned) {
  const Shape shape{n};
  const auto g = Values<T>::random(shape, seed);
  Values<T> p = Values<T>::random(shape, seed + 10), m = Values<T>::random(shape, seed + 20);
  const Values<float> rate = scalar(0.05f), scale = scalar(0.25f);
  const OneByte apply = {std::byte{skip != Skip::kYes}};
  DeviceTensor dp(p), dm(m), dg(g), drate(rate), dscale(scale), dapply(apply.view());
  const auto run = [&](auto kernel, TensorView parameter, TensorView momentum, ConstTensorView gradient, ConstTensorView lr_view,
                       ConstTensorView scale_view, ConstTensorView apply_view) {
    if (misaligned) parameter = shifted(parameter), momentum = shifted(momentum), gradient = shifted(gradient);
    if (options.momentum == 0) momentum = {};
    kernel({},
           SgdViews{.parameter = parameter,
                    .momentum = momentum,
                    .gradient = gradient,
                    .lr = lr_view,
                    .scale = scaled ? scale_view : ConstTensorView{},
                    .apply = skip == Skip::kAbsent ? ConstTensorView{} : apply_view,
                    .new_parameter = parameter,
                    .new_momentum = momentum},
           options);
  };
  run(cuda::sgd, dp.view(), dm.view(), dg.view(), drate.view(), dscale.view(), dapply.view());
  const Values<T> old = p;
  run(cpu::sgd, p.view(), m.view(), g.view(), rate.view(), scale.view(), apply.view());
  if (skip == Skip::kYes) {
    EXPECT_EQ(p.data, old.data);
  }
  expect_twins(dp.template values<T>(), p);
  expect_twins(dm.template values<T>(), m);
}

template <class T>
void expect_adam(int64_t n, unsigned seed, const AdamOptions& options, Skip skip, bool scaled, bool misaligned) {
  const Shape shape{n};
  const auto g = Values<T>::random(shape, seed);
  Values<T> p = Values<T>::random(shape, seed + 10), m = Values<T>::random(shape, seed + 20),
            v = random_moments<T>(shape, seed + 30);
  const Values<float> rate = scalar(0.05f), scale = scalar(0.25f);
  const Values<int64_t> step = scalar(int64_t{seed == 1 ? 1 : 100});
  const OneByte apply = {std::byte{skip != Skip::kYes}};
  DeviceTensor dp(p), dm(m), dv(v), dg(g), drate(rate), dscale(scale), dstep(step), dapply(apply.view());
  const auto run = [&](auto kernel, TensorView parameter, TensorView first, TensorView second, ConstTensorView gradient,
                       ConstTensorView lr_view, ConstTensorView scale_view, ConstTensorView step_view,
                       ConstTensorView apply_view) {
    if (misaligned)
      parameter = shifted(parameter), first = shifted(first), second = shifted(second), gradient = shifted(gradient);
    kernel({},
           AdamViews{.parameter = parameter,
                     .m = first,
                     .v = second,
                     .gradient = gradient,
                     .lr = lr_view,
                     .scale = scaled ? scale_view : ConstTensorView{},
                     .apply = skip == Skip::kAbsent ? ConstTensorView{} : apply_view,
                     .step = step_view,
                     .new_parameter = parameter,
                     .new_m = first,
                     .new_v = second},
           options);
  };
  run(cuda::adam, dp.view(), dm.view(), dv.view(), dg.view(), drate.view(), dscale.view(), dstep.view(), dapply.view());
  run(cpu::adam, p.view(), m.view(), v.view(), g.view(), rate.view(), scale.view(), step.view(), apply.view());
  expect_twins(dp.template values<T>(), p);
  expect_twins(dm.template values<T>(), m);
  expect_twins(dv.template values<T>(), v);
}

template <class Options, class Expect>
void for_each_case(std::span<const Options> all, Expect expect) {
  for (unsigned seed : kSeeds)
    for (const Options& options : all)
      for (int64_t n : kSizes) {
        expect(n, seed, options, Skip::kAbsent, true, false);
        if (n == 1027) {
          expect(n, seed, options, Skip::kNo, false, true);
          expect(n, seed, options, Skip::kYes, true, false);
        }
      }
}

TEST(CudaSgd, EqualsItsTwin) {
  for_each_case<SgdOptions>(kSgd, expect_sgd<float>);
  for_each_case<SgdOptions>(kSgd, expect_sgd<double>);
}
TEST(CudaAdam, EqualsItsTwin) {
  for_each_case<AdamOptions>(kAdam, expect_adam<float>);
  for_each_case<AdamOptions>(kAdam, expect_adam<double>);
}

// A skipped step leaves what is there even if the gradient overflowed, and when the outputs lie elsewhere.
TEST(CudaAdam, SkipsAStepWithoutLookingAtTheGradient) {
  const Shape shape{70};
  Values<float> g(shape);
  for (float& x : g.data) x = std::numeric_limits<float>::infinity();
  const auto p = Values<float>::random(shape, 1), m = Values<float>::random(shape, 2), v = random_moments<float>(shape, 3);
  const OneByte apply = {std::byte{0}};
  DeviceTensor dp(p), dm(m), dv(v), dg(g), lr(scalar(0.1f)), step(scalar(int64_t{1})), dapply(apply.view());
  DeviceTensor new_p(g), new_m(g), new_v(g);
  cuda::adam({},
             {.parameter = dp.view(),
              .m = dm.view(),
              .v = dv.view(),
              .gradient = dg.view(),
              .lr = lr.view(),
              .apply = dapply.view(),
              .step = step.view(),
              .new_parameter = new_p.view(),
              .new_m = new_m.view(),
              .new_v = new_v.view()},
             {});
  EXPECT_EQ(new_p.values<float>().data, p.data);
  EXPECT_EQ(new_m.values<float>().data, m.data);
  EXPECT_EQ(new_v.values<float>().data, v.data);
}

template <class T>
void expect_half() {
  for (unsigned seed : kSeeds) {
    const Shape shape{301};
    const Halves<T> g(shape, seed);
    Halves<T> p(shape, seed + 10), m(shape, seed + 20);
    const Values<float> lr = scalar(0.05f);
    DeviceTensor dp(p.half), dm(m.half), dg(g.half), dlr(lr);
    const SgdOptions options = {.momentum = 0.9, .nesterov = true};
    cuda::sgd({},
              {.parameter = dp.view(),
               .momentum = dm.view(),
               .gradient = dg.view(),
               .lr = dlr.view(),
               .new_parameter = dp.view(),
               .new_momentum = dm.view()},
              options);
    cpu::sgd({},
             {.parameter = p.wide.view(),
              .momentum = m.wide.view(),
              .gradient = g.wide.view(),
              .lr = lr.view(),
              .new_parameter = p.wide.view(),
              .new_momentum = m.wide.view()},
             options);
    expect_twins(dp.template values<T>(), p.wide, kHalfTolerance<T>);
    expect_twins(dm.template values<T>(), m.wide, kHalfTolerance<T>);
  }
}
TEST(CudaSgd, RoundsHalvesOnce) {
  expect_half<F16>();
  expect_half<BF16>();
}

template <class T>
void expect_squares(const std::vector<int64_t>& sizes, unsigned seed) {
  std::vector<Values<T>> values;
  std::vector<DeviceTensor> tensors;
  std::vector<ConstTensorView> host, device;
  int64_t elements = 0;
  tensors.reserve(sizes.size());
  for (int64_t n : sizes) {
    values.push_back(Values<T>::random({n}, seed++));
    tensors.emplace_back(values.back());
    elements += n;
  }
  for (const auto& x : values) host.push_back(x.view());
  for (const auto& x : tensors) device.push_back(std::as_const(x).view());
  const auto count = static_cast<int64_t>(sizes.size());
  Values<float> expected(Shape{});
  cpu::sum_of_squares(Context(cpu::sum_of_squares_workspace(elements, count)), host, expected.view());
  DeviceTensor out(Values<float>{Shape{}});
  cuda::sum_of_squares(DeviceContext(cuda::sum_of_squares_workspace(elements, count)), device, out.view());
  expect_twins(out.values<float>(), expected);
}

TEST(CudaSumOfSquares, EqualsItsTwin) {
  for (unsigned seed : kSeeds) {
    expect_squares<float>({7, 0, 40'001, 1}, seed);
    expect_squares<double>({16'384, 33'000}, seed);
    expect_squares<float>({0}, seed);
    expect_squares<float>(std::vector<int64_t>(140, 3), seed);  // two tables
  }
}

TEST(CudaSumOfSquares, TakesTypesInAnyOrder) {
  const Halves<F16> a({100}, 1);
  const Halves<BF16> b({1000}, 2);
  const Values<double> c({5}, {1, 2, 3, 4, 5});
  double expected = 55;
  for (float x : a.wide.data) expected += static_cast<double>(x) * static_cast<double>(x);
  for (float x : b.wide.data) expected += static_cast<double>(x) * static_cast<double>(x);
  const DeviceTensor da(a.half), db(b.half), dc(c);
  DeviceTensor out(Values<float>{Shape{}});
  const std::vector<ConstTensorView> inputs = {da.view(), dc.view(), db.view()};
  cuda::sum_of_squares(DeviceContext(cuda::sum_of_squares_workspace(1105, 3)), inputs, out.view());
  EXPECT_NEAR(static_cast<double>(out.values<float>()[0]), expected, 1e-6 * expected);
}

}  // namespace
}  // namespace tandem::test
