// The CUDA twin of random_dropout against the CPU's: the same mask, and the same bits.
#include "kernels/api/dropout.h"

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

constexpr int64_t kSizes[] = {0, 1, 3, 4, 5, 1000, 4099};
constexpr int64_t kCounter = (int64_t{1} << 32) + 7;

Values<int64_t> counter(int64_t value) { return Values<int64_t>(Shape{}, std::vector<int64_t>{value}); }

template <class T>
void expect_equal() {
  for (unsigned seed : kSeeds)
    for (int64_t n : kSizes)
      for (float ratio : {0.0f, 0.3f, 0.9f}) {
        const auto x = Values<T>::random({n}, seed);
        const uint64_t key = dropout_key(seed, 5);
        Values<T> expected(x.shape);
        cpu::random_dropout({}, x.view(), expected.view(), ratio, key, counter(kCounter).view());
        DeviceTensor dx(x), dy(Values<T>{x.shape}), step(counter(kCounter));
        cuda::random_dropout({}, dx.view(), dy.view(), ratio, key, step.view());
        EXPECT_EQ(dy.template values<T>().data, expected.data) << n << " elements, ratio " << ratio;
        cuda::random_dropout({}, dx.view(), dx.view(), ratio, key, step.view());  // in place
        EXPECT_EQ(dx.template values<T>().data, expected.data);
      }
}

TEST(CudaRandomDropout, EqualsItsTwinBitByBit) {
  expect_equal<float>();
  expect_equal<double>();
}

TEST(CudaRandomDropout, TakesRangesOnAnyAddress) {
  const auto x = Values<float>::random({1001}, 1);
  Values<float> expected(Shape{1000});
  ConstTensorView from_second = x.view();
  from_second.data += sizeof(float);
  from_second.shape = Shape{1000};
  cpu::random_dropout({}, from_second, expected.view(), 0.5f, 9, counter(3).view());
  DeviceTensor dx(x), dy(expected), step(counter(3));
  from_second.data = dx.view().data + sizeof(float);
  cuda::random_dropout({}, from_second, dy.view(), 0.5f, 9, step.view());
  EXPECT_EQ(dy.values<float>().data, expected.data);
}

template <class T>
void expect_half() {
  for (unsigned seed : kSeeds) {
    const Halves<T> x({1003}, seed);
    Values<float> expected(x.wide.shape);
    cpu::random_dropout({}, x.wide.view(), expected.view(), 0.25f, seed, counter(seed).view());
    DeviceTensor dx(x.half), step(counter(seed));
    cuda::random_dropout({}, dx.view(), dx.view(), 0.25f, seed, step.view());
    expect_twins(dx.template values<T>(), expected, kHalfTolerance<T>);
  }
}
TEST(CudaRandomDropout, DropsTheSameHalves) {
  expect_half<F16>();
  expect_half<BF16>();
}

}  // namespace
}  // namespace tandem::test
