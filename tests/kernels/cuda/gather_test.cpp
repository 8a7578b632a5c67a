// The CUDA twins of the gathers and of their gradients against the CPU's, bit by bit: sums are taken in the same order.
#include "kernels/api/gather.h"

#include <random>

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

using Gather = void (*)(const KernelContext&, ConstTensorView, ConstTensorView, int, TensorView);

template <class I>
Values<I> random_indices(const Shape& shape, int64_t limit, unsigned seed) {
  Values<I> indices(shape);
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int64_t> draw(-limit, limit - 1);
  for (I& index : indices.data) index = static_cast<I>(draw(generator));
  return indices;
}

Shape gathered(const Shape& x, const Shape& indices, int axis) {
  Shape y;
  for (int a = 0; a < axis; ++a) y.push_back(x[a]);
  for (int64_t size : indices.dims()) y.push_back(size);
  for (int a = axis + 1; a < x.rank(); ++a) y.push_back(x[a]);
  return y;
}

template <class T, class I>
void expect_equal(Gather gpu, Gather cpu, const Values<T>& x, const Values<I>& indices, int axis, const Shape& y) {
  Values<T> expected(y);
  cpu({}, x.view(), indices.view(), axis, expected.view());
  DeviceTensor dx(x), device_indices(indices), dy(Values<T>::random(y, 99));
  gpu({}, dx.view(), device_indices.view(), axis, dy.view());
  ASSERT_EQ(dy.template values<T>().data, expected.data)
      << to_string(x.shape) << " by " << to_string(indices.shape) << " along " << axis;
}

template <class T, class I>
void expect_gather(const Shape& x, const Shape& indices, int axis) {
  for (unsigned seed : kSeeds) {
    const auto index = random_indices<I>(indices, x[axis], seed);
    const Shape y = gathered(x, indices, axis);
    expect_equal(cuda::gather, cpu::gather, Values<T>::random(x, seed, 40), index, axis, y);
    if constexpr (std::is_floating_point_v<T>)
      expect_equal(cuda::gather_backward, cpu::gather_backward, Values<T>::random(y, seed), index, axis, x);
  }
}

TEST(CudaGather, AndItsGradientEqualTheirTwins) {
  expect_gather<float, int64_t>({10, 16}, {7}, 0);       // fewer indices than rows
  expect_gather<float, int32_t>({5, 16}, {300}, 0);      // more
  expect_gather<float, int64_t>({300, 2}, {310}, 0);     // rows and indices beyond one tile
  expect_gather<double, int64_t>({5, 300}, {2, 3}, 0);   // several blocks a row
  expect_gather<float, int64_t>({4, 600, 3}, {520}, 1);  // several tiles of indices, of which few are the first
  expect_gather<float, int32_t>({40, 9}, {9}, 1);
  expect_gather<float, int64_t>({3, 4, 5}, {}, 1);
  expect_gather<float, int64_t>({3, 4}, {0}, 0);
  expect_gather<float, int64_t>({0, 4}, {3}, 1);
  expect_gather<int8_t, int64_t>({6, 3}, {4}, 0);
  expect_gather<int64_t, int32_t>({6, 4}, {4}, 0);
}

template <class T, class I>
void expect_elements(const Shape& x, const Shape& indices, int axis) {
  for (unsigned seed : kSeeds) {
    const auto index = random_indices<I>(indices, x[axis], seed);
    expect_equal(cuda::gather_elements, cpu::gather_elements, Values<T>::random(x, seed, 40), index, axis, indices);
    if constexpr (std::is_floating_point_v<T>)
      expect_equal(cuda::gather_elements_backward, cpu::gather_elements_backward, Values<T>::random(indices, seed), index, axis,
                   x);
  }
}

TEST(CudaGatherElements, AndItsGradientEqualTheirTwins) {
  expect_elements<float, int64_t>({50, 10}, {50, 1}, 1);
  expect_elements<float, int32_t>({5, 20}, {30, 20}, 0);
  expect_elements<double, int64_t>({3, 4, 5}, {2, 9, 3}, 1);  // the indices cover a part of x
  expect_elements<float, int64_t>({7}, {20}, 0);
  expect_elements<float, int64_t>({7, 3}, {0, 3}, 0);
  expect_elements<int8_t, int64_t>({4, 6}, {4, 2}, 1);
}

// An exception cannot leave a GPU.
TEST(CudaGather, AnIndexOutsideReadsZerosAndAddsNothing) {
  const Values<float> x({2, 2}, {1, 2, 3, 4});
  const Values<int64_t> indices({3}, {2, -3, 1});
  DeviceTensor dx(x), index(indices), y(Values<float>::random({3, 2}, 1)), grad(Values<float>::random({2, 2}, 1));
  cuda::gather({}, dx.view(), index.view(), 0, y.view());
  EXPECT_EQ(y.values<float>().data, (std::vector<float>{0, 0, 0, 0, 3, 4}));
  cuda::gather_backward({}, DeviceTensor(Values<float>({3, 2}, {1, 1, 1, 1, 5, 6})).view(), index.view(), 0, grad.view());
  EXPECT_EQ(grad.values<float>().data, (std::vector<float>{0, 0, 5, 6}));
  cuda::gather_elements({}, dx.view(), DeviceTensor(Values<int64_t>({1, 2}, {7, 1})).view(), 0, y.view());
  EXPECT_EQ(y.values<float>().data[0], 0);
  EXPECT_EQ(y.values<float>().data[1], 4);
}

template <class T>
void expect_half_sums() {
  for (unsigned seed : kSeeds) {
    const auto index = random_indices<int64_t>({40}, 6, seed);
    const Halves<T> dy({40, 5}, seed);
    Values<float> expected({6, 5});
    cpu::gather_backward({}, dy.wide.view(), index.view(), 0, expected.view());
    DeviceTensor device_dy(dy.half), device_index(index), dx(Values<T>{expected.shape});
    cuda::gather_backward({}, device_dy.view(), device_index.view(), 0, dx.view());
    expect_twins(dx.template values<T>(), expected, kHalfTolerance<T>);
  }
}
TEST(CudaGather, RoundsSumsOfHalvesOnce) {
  expect_half_sums<F16>();
  expect_half_sums<BF16>();
}

}  // namespace
}  // namespace tandem::test
