// The CUDA twins of the kernels that move elements against the CPU's: the same bits, on shapes that fill words and tiles and on
// ones that do not.
#include "kernels/api/movement.h"

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

using Axes = std::vector<int64_t>;

// y of run(kernel, x, y) is the same from both kernels.
template <class T, auto on_cpu, auto on_gpu, class Run>
void expect_same(const Shape& x_shape, const Shape& y_shape, unsigned seed, Run run) {
  const auto x = Values<T>::random(x_shape, seed, 40);
  Values<T> expected(y_shape);
  run(on_cpu, x.view(), expected.view());
  DeviceTensor dx(x), dy(Values<T>::random(y_shape, 99));
  run(on_gpu, std::as_const(dx).view(), dy.view());
  ASSERT_EQ(dy.template values<T>().data, expected.data) << to_string(x_shape) << " to " << to_string(y_shape);
}

// One type for each size of element.
template <auto on_cpu, auto on_gpu, class Run>
void expect_same_of_all(const Shape& x, const Shape& y, Run run) {
  for (unsigned seed : kSeeds) expect_same<float, on_cpu, on_gpu>(x, y, seed, run);
  expect_same<double, on_cpu, on_gpu>(x, y, 1, run);
  expect_same<int8_t, on_cpu, on_gpu>(x, y, 1, run);
  expect_same<int16_t, on_cpu, on_gpu>(x, y, 1, run);
}

TEST(CudaTranspose, EqualsItsTwin) {
  const auto expect = [](const Shape& x, const Axes& permutation) {
    Shape y;
    for (int64_t axis : permutation) y.push_back(x[static_cast<int>(axis)]);
    expect_same_of_all<cpu::transpose, cuda::transpose>(
        x, y, [&](auto kernel, ConstTensorView in, TensorView out) { kernel({}, in, permutation, out); });
  };
  expect({}, {});
  expect({7}, {0});
  expect({0, 3}, {1, 0});
  expect({32, 64}, {1, 0});
  expect({33, 70}, {1, 0});
  expect({3, 100}, {1, 0});  // too narrow for tiles
  expect({100, 3}, {1, 0});
  expect({2, 17, 40}, {0, 2, 1});
  expect({2, 17, 40}, {2, 0, 1});
  expect({2, 17, 40}, {1, 0, 2});
  expect({20, 3, 18, 2}, {2, 3, 1, 0});
  expect({2, 3, 4, 5}, {3, 2, 1, 0});
  expect({2, 2, 2, 2, 2, 2, 2, 2}, {7, 1, 5, 3, 4, 2, 6, 0});
}

TEST(CudaExpand, EqualsItsTwin) {
  const auto expect = [](const Shape& x, const Shape& y) {
    expect_same_of_all<cpu::expand, cuda::expand>(x, y,
                                                  [](auto kernel, ConstTensorView in, TensorView out) { kernel({}, in, out); });
  };
  expect({}, {5, 7});
  expect({1, 16}, {9, 16});
  expect({9, 1}, {9, 33});
  expect({3, 1, 5}, {2, 3, 4, 5});
  expect({4, 4}, {4, 4});
  expect({1, 3}, {0, 3});
}

TEST(CudaTile, EqualsItsTwin) {
  const auto expect = [](const Shape& x, const Shape& y) {
    expect_same_of_all<cpu::tile, cuda::tile>(x, y, [](auto kernel, ConstTensorView in, TensorView out) { kernel({}, in, out); });
  };
  expect({4}, {12});
  expect({2, 3}, {4, 9});
  expect({5, 16}, {5, 64});
  expect({1, 2, 3}, {7, 2, 6});
  expect({2, 3}, {2, 0});
}

TEST(CudaSlice, AndItsGradientEqualTheirTwins) {
  const auto expect = [](const Shape& whole, const Axes& starts, const Axes& steps, const Shape& part) {
    const auto run = [&](auto kernel, ConstTensorView in, TensorView out) { kernel({}, in, starts, steps, out); };
    expect_same_of_all<cpu::slice, cuda::slice>(whole, part, run);
    expect_same_of_all<cpu::slice_backward, cuda::slice_backward>(part, whole, run);
  };
  expect({10}, {2}, {3}, {3});
  expect({10}, {9}, {-1}, {10});
  expect({10}, {9}, {-4}, {3});
  expect({6, 64}, {1, 0}, {1, 1}, {4, 64});
  expect({6, 64}, {0, 16}, {1, 1}, {6, 32});
  expect({6, 64}, {0, 17}, {1, 1}, {6, 32});  // rows fill words, but begin inside of one
  expect({6, 65}, {5, 3}, {-2, 2}, {3, 20});
  expect({3, 4, 5}, {1, 0, 2}, {1, 2, 1}, {1, 2, 3});
  expect({3, 4}, {0, 0}, {1, 1}, {0, 4});
  expect({1, 1}, {0, 0}, {1, 1}, {1, 1});
  expect({}, {}, {}, {});
}

template <class T>
void expect_joined(const Shape& whole, int axis, const Axes& lengths, unsigned seed) {
  std::vector<Values<T>> parts;
  std::vector<DeviceTensor> device;
  device.reserve(lengths.size());
  std::vector<ConstTensorView> in, device_in;
  std::vector<TensorView> out, device_out;
  for (int64_t length : lengths) {
    Shape shape = whole;
    shape.set(axis, length);
    parts.push_back(Values<T>::random(shape, seed++, 40));
    device.emplace_back(parts.back());
    device_in.push_back(std::as_const(device.back()).view());
    device_out.push_back(device.back().view());
  }
  for (Values<T>& part : parts) {
    in.push_back(part.view());
    out.push_back(part.view());
  }
  Values<T> joined(whole);
  cpu::concat({}, in, axis, joined.view());
  DeviceTensor dy(Values<T>::random(whole, 99));
  cuda::concat({}, device_in, axis, dy.view());
  ASSERT_EQ(dy.template values<T>().data, joined.data);

  const auto x = Values<T>::random(whole, seed + 7, 40);
  cpu::split({}, x.view(), axis, out);
  const DeviceTensor dx(x);
  cuda::split({}, dx.view(), axis, device_out);
  for (size_t i = 0; i < parts.size(); ++i) ASSERT_EQ(device[i].template values<T>().data, parts[i].data) << "part " << i;
}

TEST(CudaConcat, AndSplitEqualTheirTwins) {
  for (unsigned seed : kSeeds) {
    expect_joined<float>({3, 64}, 1, {16, 32, 16}, seed);
    expect_joined<float>({3, 64}, 1, {1, 32, 0, 31}, seed);
    expect_joined<int8_t>({5, 9, 7}, 1, {2, 4, 3}, seed);
    expect_joined<double>({5, 9, 7}, 0, {4, 1}, seed);
    expect_joined<int64_t>({2, 6}, 1, {6}, seed);
    expect_joined<float>({0, 6}, 1, {2, 4}, seed);
  }
  expect_joined<float>({3, 300}, 1, Axes(300, 1), 1);  // more parts than one launch takes
}

constexpr PadMode kModes[] = {PadMode::kConstant, PadMode::kReflect, PadMode::kEdge, PadMode::kWrap};

// Pads of the axes; each takes away or adds.
template <class T>
void expect_padded(const Shape& x, const Axes& before, const Axes& after, bool reflects) {
  Shape y = x;
  for (int a = 0; a < x.rank(); ++a) y.set(a, x[a] + before[static_cast<size_t>(a)] + after[static_cast<size_t>(a)]);
  const Values<T> value(Shape{}, std::vector<T>{T(7)});
  for (PadMode mode : kModes) {
    if (mode == PadMode::kReflect && !reflects) continue;
    for (ConstTensorView outside : {ConstTensorView{}, value.view()})
      expect_same<T, cpu::pad, cuda::pad>(
          x, y, 1, [&](auto kernel, ConstTensorView in, TensorView out) { kernel({}, in, before, mode, outside, out); });
  }
}

// The sums are of a few numbers in the CPU's order: the same bits. Where a block adds them: nearly.
template <class T>
void expect_padded_grad(const Shape& x, const Axes& before, const Axes& after, bool reflects) {
  Shape y = x;
  for (int a = 0; a < x.rank(); ++a) y.set(a, x[a] + before[static_cast<size_t>(a)] + after[static_cast<size_t>(a)]);
  for (PadMode mode : kModes)
    for (unsigned seed : kSeeds) {
      if (mode == PadMode::kReflect && !reflects) continue;
      const auto dy = Values<T>::random(y, seed);
      Values<T> expected(x);
      cpu::pad_backward({}, dy.view(), before, mode, expected.view());
      DeviceTensor device_dy(dy), dx(Values<T>::random(x, 99));
      cuda::pad_backward({}, device_dy.view(), before, mode, dx.view());
      expect_twins(dx.template values<T>(), expected);
    }
}

void expect_padded_both(const Shape& x, const Axes& before, const Axes& after, bool reflects = true) {
  expect_padded<float>(x, before, after, reflects);
  expect_padded<int8_t>(x, before, after, reflects);
  expect_padded<int64_t>(x, before, after, reflects);
  expect_padded_grad<float>(x, before, after, reflects);
  expect_padded_grad<double>(x, before, after, reflects);
}

TEST(CudaPad, AndItsGradientEqualTheirTwins) {
  expect_padded_both({5}, {2}, {4});
  expect_padded_both({5}, {-1}, {3});
  expect_padded_both({5}, {3}, {-2});
  expect_padded_both({5}, {-2}, {-1});
  expect_padded_both({1}, {3}, {4});
  expect_padded_both({3}, {8}, {11}, false);  // several periods
  expect_padded_both({2, 3, 4}, {0, 1, 2}, {1, 0, 3});
  expect_padded_both({3, 4, 16}, {0, 2, 0}, {0, 2, 0});
  expect_padded_both({2, 3, 8, 8}, {0, 0, 1, 1}, {0, 0, 1, 1});
  expect_padded_both({2, 64}, {0, 32}, {0, 16});
  expect_padded_both({1, 2}, {150, 0}, {50, 1}, false);  // a block an element
}

template <class T>
void expect_tiled_grad(const Shape& x, const Shape& y) {
  for (unsigned seed : kSeeds) {
    const auto dy = Values<T>::random(y, seed);
    Values<T> expected(x);
    cpu::tile_backward({}, dy.view(), expected.view());
    DeviceTensor device_dy(dy), dx(Values<T>::random(x, 99));
    cuda::tile_backward({}, device_dy.view(), dx.view());
    expect_twins(dx.template values<T>(), expected);
  }
}

TEST(CudaTileBackward, EqualsItsTwin) {
  expect_tiled_grad<float>({4}, {12});
  expect_tiled_grad<double>({2, 3}, {4, 9});
  expect_tiled_grad<float>({1, 2, 3}, {7, 2, 6});
  expect_tiled_grad<float>({2, 1}, {2, 1000});
  expect_tiled_grad<float>({2, 3}, {2, 0});
}

template <class T>
void expect_half_sums() {
  const Halves<T> dy({4, 12}, 1);
  Values<float> expected({2, 3});
  cpu::tile_backward({}, dy.wide.view(), expected.view());
  DeviceTensor device_dy(dy.half), dx(Values<T>{expected.shape});
  cuda::tile_backward({}, device_dy.view(), dx.view());
  expect_twins(dx.template values<T>(), expected, kHalfTolerance<T>);
}
TEST(CudaTileBackward, RoundsHalvesOnce) {
  expect_half_sums<F16>();
  expect_half_sums<BF16>();
}

TEST(CudaTrilu, EqualsItsTwin) {
  for (const Shape& shape : {Shape{5, 7}, Shape{3, 7, 5}, Shape{2, 0, 3}})
    for (int64_t k : {-9, -1, 0, 2, 9})
      for (bool upper : {false, true})
        expect_same_of_all<cpu::trilu, cuda::trilu>(
            shape, shape, [&](auto kernel, ConstTensorView in, TensorView out) { kernel({}, in, k, upper, out); });
}

template <class T>
void expect_copied(const Shape& shape) {
  expect_same<T, cpu::copy, cuda::copy>(shape, shape, 1,
                                        [](auto kernel, ConstTensorView in, TensorView out) { kernel({}, in, out); });
  const Values<T> value(Shape{}, std::vector<T>{T(5)});
  const DeviceTensor on_device(value);
  DeviceTensor y(Values<T>{shape}), z(Values<T>{shape});
  cuda::fill({}, on_device.view(), y.view());
  cuda::fill_with({}, value.view(), z.view());
  Values<T> expected(shape);
  cpu::fill({}, value.view(), expected.view());
  EXPECT_EQ(y.template values<T>().data, expected.data);
  EXPECT_EQ(z.template values<T>().data, expected.data);
}
TEST(CudaCopy, AndFillEqualTheirTwins) {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{5, 7}, Shape{1024}, Shape{3, 333}}) {
    expect_copied<float>(shape);
    expect_copied<int8_t>(shape);
    expect_copied<int64_t>(shape);
  }
}

template <class T>
void expect_range(T start, T delta) {
  const Values<T> first(Shape{}, std::vector<T>{start}), step(Shape{}, std::vector<T>{delta});
  Values<T> expected(Shape{100});
  cpu::range({}, first.view(), step.view(), expected.view());
  DeviceTensor device_first(first), device_step(step), y(Values<T>::random({100}, 9));
  cuda::range({}, device_first.view(), device_step.view(), y.view());
  expect_twins(y.template values<T>(), expected);
}
TEST(CudaRange, EqualsItsTwin) {
  expect_range<float>(0.5f, 0.1f);
  expect_range<double>(1, -0.25);
  expect_range<int32_t>(7, -3);
  expect_range<int64_t>(int64_t{1} << 40, 5);
  expect_range<uint8_t>(3, 2);
}

template <class I, class T>
void expect_one_hot(const Shape& shape, int axis, int64_t depth) {
  for (unsigned seed : kSeeds) {
    const auto indices = Values<I>::random(shape, seed, 3);  // some negative, some outside
    const Values<T> values({2}, {T(-1), T(3)});
    Shape y;
    for (int a = 0; a <= shape.rank(); ++a) y.push_back(a == axis ? depth : shape[a - (a > axis)]);
    Values<T> expected(y);
    cpu::one_hot({}, indices.view(), values.view(), axis, expected.view());
    DeviceTensor device_indices(indices), device_values(values), dy(Values<T>::random(y, 99));
    cuda::one_hot({}, device_indices.view(), device_values.view(), axis, dy.view());
    ASSERT_EQ(dy.template values<T>().data, expected.data);
  }
}
TEST(CudaOneHot, EqualsItsTwin) {
  expect_one_hot<int64_t, float>({30}, 1, 4);
  expect_one_hot<uint8_t, float>({30}, 1, 4);
  expect_one_hot<int8_t, float>({30}, 1, 100);
  expect_one_hot<int32_t, int64_t>({30}, 0, 4);
  expect_one_hot<float, double>({5, 6}, 1, 5);
  expect_one_hot<double, int8_t>({5, 6}, 2, 1);
  expect_one_hot<int64_t, float>({0}, 0, 3);
}

}  // namespace
}  // namespace tandem::test
