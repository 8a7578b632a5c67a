// The CUDA twins of the reductions, arg-max and cumulative sums against the CPU's: every set of axes of ragged shapes, every op
// and type.
#include "kernels/api/reduce.h"

#include <limits>

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

// Few and many outputs, merged and alternating axes, chunks of rows (9000, 20000) and of columns (300 and 1030 rows).
const Shape kShapes[] = {{},        {1},        {7},           {3, 1000},          {1030, 3}, {300, 40},
                         {2, 5, 7}, {1, 33, 1}, {3, 17, 2, 5}, {2, 3, 2, 3, 2, 3}, {2, 9000}};
const Shape kSmallShapes[] = {{5, 9}, {260, 35}, {3, 4, 5}};

constexpr ReduceOp kSums[] = {ReduceOp::kSum, ReduceOp::kMean,      ReduceOp::kL1,
                              ReduceOp::kL2,  ReduceOp::kSumSquare, ReduceOp::kProd};
constexpr ReduceOp kExtrema[] = {ReduceOp::kMax, ReduceOp::kMin};
constexpr ReduceOp kLogarithms[] = {ReduceOp::kLogSum, ReduceOp::kLogSumExp};

Shape reduced_shape(const Shape& shape, AxisMask axes) {
  Shape y;
  for (int i = 0; i < shape.rank(); ++i) y.push_back(axes >> i & 1 ? 1 : shape[i]);
  return y;
}

// Around 1, so that a product of thousands is still a number.
template <class T>
Values<T> numbers_for(ReduceOp op, const Shape& shape, unsigned seed) {
  auto x = Values<T>::random(shape, seed, std::is_integral_v<T> ? 3 : 1);
  if (op == ReduceOp::kProd && !std::is_integral_v<T>)
    for (T& v : x.data) v = static_cast<T>(1 + v / 64);
  return x;
}

template <class T>
void expect_equal(ReduceOp op, const Shape& shape, AxisMask axes, unsigned seed) {
  const auto x = numbers_for<T>(op, shape, seed);
  Values<T> expected(reduced_shape(shape, axes));
  cpu::reduce({}, op, x.view(), expected.view(), axes);
  DeviceTensor dx(x), dy(Values<T>{expected.shape});
  const DeviceContext context(cuda::reduce_workspace(shape));
  cuda::reduce(context, op, dx.view(), dy.view(), axes);
  SCOPED_TRACE("op " + std::to_string(static_cast<int>(op)) + " of " + to_string(shape) + " over axes " + std::to_string(axes));
  expect_twins(dy.values<T>(), expected, std::is_integral_v<T> ? 0 : std::is_same_v<T, double> ? 1e-12 : 1e-5);
  static_cast<void>(context.memory.read());  // its fences
}

template <class T>
void expect_equal(std::span<const ReduceOp> ops, std::span<const Shape> shapes) {
  for (const Shape& shape : shapes)
    for (AxisMask axes = 0; axes < AxisMask{1} << shape.rank(); ++axes)
      for (ReduceOp op : ops) expect_equal<T>(op, shape, axes, kSeeds[axes % 3]);
}

TEST(CudaReduce, SumsFloats) {
  for (unsigned seed : kSeeds) {
    expect_equal<float>(ReduceOp::kSum, {20000}, 1, seed);
    expect_equal<float>(ReduceOp::kSum, {3, 300, 40}, 2, seed);
  }
  expect_equal<float>(kSums, kShapes);
}
TEST(CudaReduce, SumsOtherTypes) {
  expect_equal<double>(kSums, kSmallShapes);
  expect_equal<int32_t>(kSums, kSmallShapes);
  expect_equal<int64_t>(kSums, kSmallShapes);
  expect_equal<int64_t>(ReduceOp::kSum, {20000}, 1, 1);
}
TEST(CudaReduce, FindsExtremaOfAllTypes) {
  expect_equal<float>(kExtrema, kSmallShapes);
  expect_equal<double>(kExtrema, kSmallShapes);
  expect_equal<int32_t>(kExtrema, kSmallShapes);
  expect_equal<int64_t>(kExtrema, kSmallShapes);
  expect_equal<int8_t>(kExtrema, kSmallShapes);
  expect_equal<uint8_t>(kExtrema, kSmallShapes);
}
TEST(CudaReduce, TakesLogarithms) {
  expect_equal<float>(kLogarithms, kSmallShapes);
  expect_equal<double>(kLogarithms, kSmallShapes);
  expect_equal<float>(ReduceOp::kLogSumExp, {2, 9000}, 2, 1);
}

template <class T>
void expect_halves() {
  for (unsigned seed : kSeeds)
    for (ReduceOp op : {ReduceOp::kSum, ReduceOp::kMean, ReduceOp::kL2, ReduceOp::kMax, ReduceOp::kLogSumExp})
      for (AxisMask axes = 0; axes < 4; ++axes) {
        const Halves<T> x({300, 40}, seed);
        Values<float> expected(reduced_shape(x.half.shape, axes));
        cpu::reduce({}, op, x.wide.view(), expected.view(), axes);
        DeviceTensor dx(x.half), dy(Values<T>{expected.shape});
        cuda::reduce(DeviceContext(cuda::reduce_workspace(x.half.shape)), op, dx.view(), dy.view(), axes);
        expect_twins(dy.values<T>(), expected, kHalfTolerance<T>);
      }
}
TEST(CudaReduce, RoundsHalvesOnce) {
  expect_halves<F16>();
  expect_halves<BF16>();
}

template <class T>
void expect_empty(ReduceOp op) {
  const Values<T> x({3, 0});
  Values<T> expected({3, 1});
  cpu::reduce({}, op, x.view(), expected.view(), 2);
  DeviceTensor dx(x), dy(Values<T>{expected.shape});
  cuda::reduce({}, op, dx.view(), dy.view(), 2);
  expect_twins(dy.values<T>(), expected);
}
TEST(CudaReduce, OfNothingIsNeutral) {
  for (ReduceOp op : kSums) expect_empty<float>(op), expect_empty<int32_t>(op);
  for (ReduceOp op : kExtrema) expect_empty<float>(op), expect_empty<int8_t>(op), expect_empty<uint8_t>(op);
  for (ReduceOp op : kLogarithms) expect_empty<double>(op);
}

TEST(CudaReduce, KeepsNanAndInfinity) {
  Values<float> x({3, 4}, {1, kNan, 2, 3, -kInfinity, -kInfinity, -kInfinity, -kInfinity, kInfinity, 1, 2, 3});
  for (ReduceOp op : {ReduceOp::kMax, ReduceOp::kMin, ReduceOp::kLogSumExp, ReduceOp::kSum}) {
    Values<float> expected({3});
    cpu::reduce({}, op, x.view(), expected.view(), 2);
    DeviceTensor dx(x), dy(Values<float>{expected.shape});
    cuda::reduce({}, op, dx.view(), dy.view(), 2);
    expect_twins(dy.values<float>(), expected);
  }
}

TEST(CudaReduce, SumsAwayABroadcast) {
  for (const Shape& small : {Shape{40}, Shape{1, 40}, Shape{300, 1}, Shape{}, Shape{300, 40}})
    for (unsigned seed : kSeeds) {
      const auto x = Values<float>::random({2, 300, 40}, seed);
      Values<float> expected(small);
      cpu::reduce_to_shape({}, x.view(), expected.view());
      DeviceTensor dx(x), dy(Values<float>{small});
      cuda::reduce_to_shape(DeviceContext(cuda::reduce_workspace(x.shape)), dx.view(), dy.view());
      expect_twins(dy.values<float>(), expected);
    }
}

// A smaller run of a plan has no more chunks than its largest.
TEST(CudaReduce, AsksForMoreWorkspaceTheLargerTheInput) {
  for (int64_t rows = 1; rows < 100'000; rows = rows * 3 / 2 + 1)
    EXPECT_LE(cuda::reduce_workspace({rows, 64}), cuda::reduce_workspace({rows * 3 / 2 + 1, 64}));
}

const Shape kAxisShapes[] = {{1}, {5}, {3, 700}, {700, 3}, {4, 9, 37}, {2, 1500}, {0, 3}};

template <class T, class Body>
void for_each_row(Body body) {
  for (const Shape& shape : kAxisShapes)
    for (int axis = 0; axis < shape.rank(); ++axis)
      for (unsigned seed : kSeeds)
        if (shape.elements() > 0 || shape[axis] > 0)
          body(Values<T>::random(shape, seed, 20), axis, (seed & 1) != 0, (seed & 2) != 0);
}

template <class T>
void expect_equal_arg() {
  for_each_row<T>([](const Values<T>& x, int axis, bool largest, bool last) {
    Shape shape = x.shape;
    shape.set(axis, 1);
    Values<int64_t> expected(shape);
    cpu::arg_reduce({}, x.view(), expected.view(), axis, {largest, last});
    DeviceTensor dx(x), dy(Values<int64_t>{shape});
    cuda::arg_reduce({}, dx.view(), dy.view(), axis, {largest, last});
    EXPECT_EQ(dy.values<int64_t>().data, expected.data) << to_string(x.shape) << " axis " << axis;
  });
}
TEST(CudaArgReduce, EqualsItsTwin) {
  expect_equal_arg<float>();
  expect_equal_arg<double>();
  expect_equal_arg<int32_t>();
  expect_equal_arg<int64_t>();
  expect_equal_arg<int8_t>();
  expect_equal_arg<uint8_t>();
}
TEST(CudaArgReduce, TreatsNanAndTiesAsItsTwin) {
  const Values<float> x({5, 40}, [] {
    std::vector<float> v(200, 1);
    v[0] = kNan;                                          // a NaN at the start stays
    v[40 + 3] = kNan, v[40 + 7] = v[40 + 30] = 2;         // any other is passed over
    for (int i = 0; i < 40; ++i) v[80 + i] = -kInfinity;  // all equal, and the worst there is
    for (int i = 121; i < 160; ++i) v[i] = kNan;          // only the first is a number
    v[160] = -3, v[199] = -3;
    return v;
  }());
  for (bool largest : {false, true})
    for (bool last : {false, true}) {
      Values<int64_t> expected({5});
      cpu::arg_reduce({}, x.view(), expected.view(), 1, {largest, last});
      DeviceTensor dx(x), dy(Values<int64_t>{expected.shape});
      cuda::arg_reduce({}, dx.view(), dy.view(), 1, {largest, last});
      EXPECT_EQ(dy.values<int64_t>().data, expected.data) << largest << last;
    }
}
TEST(CudaArgReduce, TakesHalves) {
  const Halves<BF16> x({6, 50}, 1);
  Values<int64_t> expected({6});
  cpu::arg_reduce({}, x.wide.view(), expected.view(), 1, {});
  DeviceTensor dx(x.half), dy(Values<int64_t>{expected.shape});
  cuda::arg_reduce({}, dx.view(), dy.view(), 1, {});
  EXPECT_EQ(dy.values<int64_t>().data, expected.data);
}

template <class T>
void expect_equal_cumsum() {
  for_each_row<T>([](const Values<T>& x, int axis, bool exclusive, bool reverse) {
    Values<T> expected(x.shape);
    cpu::cumsum({}, x.view(), expected.view(), axis, {exclusive, reverse});
    DeviceTensor dx(x), dy(Values<T>{x.shape});
    cuda::cumsum({}, dx.view(), dy.view(), axis, {exclusive, reverse});
    expect_twins(dy.values<T>(), expected, std::is_integral_v<T> ? 0 : std::is_same_v<T, double> ? 1e-12 : 1e-5);
    cuda::cumsum({}, dx.view(), dx.view(), axis, {exclusive, reverse});  // in place
    expect_twins(dx.values<T>(), expected, std::is_integral_v<T> ? 0 : std::is_same_v<T, double> ? 1e-12 : 1e-5);
  });
}
TEST(CudaCumSum, EqualsItsTwin) {
  expect_equal_cumsum<float>();
  expect_equal_cumsum<double>();
  expect_equal_cumsum<int32_t>();
  expect_equal_cumsum<int64_t>();
  expect_equal_cumsum<int8_t>();
  expect_equal_cumsum<uint8_t>();
}
TEST(CudaCumSum, TakesHalves) {
  const Halves<F16> x({3, 70}, 1);
  Values<float> expected(x.wide.shape);
  cpu::cumsum({}, x.wide.view(), expected.view(), 1, {});
  DeviceTensor dx(x.half), dy(Values<F16>{x.half.shape});
  cuda::cumsum({}, dx.view(), dy.view(), 1, {});
  expect_twins(dy.values<F16>(), expected, kHalfTolerance<F16>);
}

}  // namespace
}  // namespace tandem::test
