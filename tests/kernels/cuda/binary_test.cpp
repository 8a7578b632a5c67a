// The CUDA twins of arithmetic, comparison, logic, power and choice with broadcasting against the CPU's.
#include <limits>

#include "kernels/api/elementwise.h"
#include "kernels/api/movement.h"
#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

struct Pair {
  Shape a, b;
};
// The same shape, scalars, rows and columns, inner axes; rows that are whole vectors and rows that are not; general, and nothing.
const Pair kPairs[] = {{{7, 33}, {7, 33}},
                       {{1027}, {}},
                       {{}, {1027}},
                       {{1, 1}, {1}},
                       {{50, 64}, {64}},
                       {{50, 10}, {10}},
                       {{10}, {50, 10}},
                       {{50, 64}, {50, 1}},
                       {{50, 1}, {64}},
                       {{3, 5, 7, 16}, {5, 1, 1}},
                       {{3, 5, 7, 9}, {5, 1, 1}},
                       {{3, 1, 5, 1, 8}, {2, 1, 4, 1}},
                       {{2, 1, 3, 1, 2, 1, 2}, {1, 3, 1, 2, 1, 2, 1}},
                       {{0, 4}, {4}},
                       {{3, 0}, {3, 1}}};

constexpr BinaryOp kOps[] = {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul,  BinaryOp::kDiv,
                             BinaryOp::kMin, BinaryOp::kMax, BinaryOp::kFmod, BinaryOp::kPRelu,
                             BinaryOp::kMod, BinaryOp::kBitAnd, BinaryOp::kBitOr, BinaryOp::kBitXor,
                             BinaryOp::kShiftLeft, BinaryOp::kShiftRight};

// Small numbers, zeros and limits for integers; NaN for floats.
template <class T>
Values<T> operand(const Shape& shape, unsigned seed) {
  Values<T> x = Values<T>::random(shape, seed, 4);
  const int64_t n = shape.elements();
  if constexpr (std::is_integral_v<T>) {
    if (n > 5) x[5] = std::numeric_limits<T>::min();
    if (n > 6) x[6] = static_cast<T>(-1);
  } else if (n > 3) {
    x[3] = std::numeric_limits<T>::quiet_NaN();
  }
  return x;
}

template <class T>
void expect_arithmetic(BinaryOp op) {
  for (const Pair& shapes : kPairs)
    for (unsigned seed : kSeeds) {
      const auto a = operand<T>(shapes.a, seed), b = operand<T>(shapes.b, seed + 50);
      Values<T> expected(broadcast(shapes.a, shapes.b));
      cpu::binary({}, op, a.view(), b.view(), expected.view());
      DeviceTensor da(a), db(b), y(expected);
      cuda::fill({}, DeviceTensor(Values<T>({})).view(), y.view());
      cuda::binary({}, op, da.view(), db.view(), y.view());
      expect_twins(y.values<T>(), expected);
      for (DeviceTensor* in : {&da, &db}) {
        if (!(in->view().shape == expected.shape)) continue;
        DeviceTensor place(in->values<T>());
        cuda::binary({}, op, in == &da ? place.view() : da.view(), in == &db ? place.view() : db.view(), place.view());
        expect_twins(place.values<T>(), expected);
      }
      if (::testing::Test::HasFatalFailure())
        FAIL() << "op " << static_cast<int>(op) << " on " << to_string(shapes.a) << " and " << to_string(shapes.b);
    }
}
TEST(CudaBinary, EqualsItsTwin) {
  for (BinaryOp op : kOps) {
    if (op < BinaryOp::kMod || op == BinaryOp::kFmod || op == BinaryOp::kPRelu) {
      expect_arithmetic<float>(op);
      expect_arithmetic<double>(op);
    }
    expect_arithmetic<int32_t>(op);
    expect_arithmetic<int64_t>(op);
    expect_arithmetic<int8_t>(op);
    expect_arithmetic<uint8_t>(op);
  }
  DeviceTensor x(Values<float>({3}));
  EXPECT_THROW(cuda::binary({}, BinaryOp::kMod, x.view(), x.view(), x.view()), Error);
}

// As it is rounded once: what overflows is infinite.
template <class T>
Values<float> rounded_to(Values<float> x) {
  for (float& value : x.data) value = to_float(rounded<T>(static_cast<double>(value)));
  return x;
}

template <class T>
void expect_halves() {
  for (const Pair& shapes : kPairs) {
    const Halves<T> a(shapes.a, 1), b(shapes.b, 2);
    Values<float> expected(broadcast(shapes.a, shapes.b));
    const DeviceTensor da(a.half), db(b.half);
    DeviceTensor y(Values<T>{expected.shape}), truth(as_bool(Values<uint8_t>(expected.shape)));
    for (BinaryOp op : {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul, BinaryOp::kDiv, BinaryOp::kMin, BinaryOp::kFmod}) {
      cpu::binary({}, op, a.wide.view(), b.wide.view(), expected.view());
      cuda::binary({}, op, da.view(), db.view(), y.view());
      expect_twins(y.values<T>(), rounded_to<T>(expected), kHalfTolerance<T>);
    }
    cpu::pow({}, a.wide.view(), b.wide.view(), expected.view());
    cuda::pow({}, da.view(), db.view(), y.view());
    expect_twins(y.values<T>(), rounded_to<T>(expected), kHalfTolerance<T>);
    Values<uint8_t> expected_truth(expected.shape);
    cpu::compare({}, CompareOp::kGreater, a.wide.view(), b.wide.view(), as_bool(expected_truth));
    cuda::compare({}, CompareOp::kGreater, da.view(), db.view(), truth.view());
    expect_twins(truth.values<uint8_t>(), expected_truth);
  }
}
TEST(CudaBinary, RoundsHalvesOnce) {
  expect_halves<F16>();
  expect_halves<BF16>();
}

template <class A, class B>
void expect_power() {
  for (unsigned seed : kSeeds) {
    const auto a = Values<A>::random({3, 40}, seed, 5);
    auto b = Values<B>::random({40}, seed + 50, 3);
    b[0] = B(2), b[1] = B(0.5), b[2] = B(-1), b[3] = B(40), b[4] = B(0);
    Values<A> expected(a.shape);
    cpu::pow({}, a.view(), b.view(), expected.view());
    const DeviceTensor da(a), db(b);
    DeviceTensor y(expected);
    cuda::pow({}, da.view(), db.view(), y.view());
    expect_twins(y.values<A>(), expected);
  }
}
template <class A>
void expect_power_of() {
  expect_power<A, float>();
  expect_power<A, double>();
  expect_power<A, int32_t>();
  expect_power<A, int64_t>();
}
TEST(CudaPow, EqualsItsTwin) {
  expect_power_of<float>();
  expect_power_of<double>();
  expect_power_of<int32_t>();
  expect_power_of<int64_t>();
}
TEST(CudaPow, IsExactOnIntegersAndStaysInRange) {
  const Values<int64_t> a({9}, {3, -3, 7, 2, -2, -2, 10, 0, -1});
  const Values<double> b({9}, {39, 39, 22, 62, 63, 64, 19, 0, -3});
  const std::vector<int64_t> expected = {4052555153018976267,
                                         -4052555153018976267,
                                         3909821048582988049,
                                         int64_t{1} << 62,
                                         std::numeric_limits<int64_t>::min(),
                                         std::numeric_limits<int64_t>::max(),
                                         std::numeric_limits<int64_t>::max(),
                                         1,
                                         -1};
  Values<int64_t> on_cpu({9});
  cpu::pow({}, a.view(), b.view(), on_cpu.view());
  EXPECT_EQ(on_cpu.data, expected);
  const DeviceTensor da(a), db(b);
  DeviceTensor y(a);
  cuda::pow({}, da.view(), db.view(), y.view());
  EXPECT_EQ(y.values<int64_t>().data, expected);
}

template <class T>
void expect_comparisons(bool orders) {
  for (const Pair& shapes : kPairs) {
    const auto a = operand<T>(shapes.a, 1), b = operand<T>(shapes.b, 2);
    Values<uint8_t> expected(broadcast(shapes.a, shapes.b));
    const DeviceTensor da(a), db(b);
    DeviceTensor y(as_bool(expected));
    for (CompareOp op :
         {CompareOp::kEqual, CompareOp::kLess, CompareOp::kLessOrEqual, CompareOp::kGreater, CompareOp::kGreaterOrEqual}) {
      if (!orders && op != CompareOp::kEqual) continue;
      cpu::compare({}, op, a.view(), b.view(), as_bool(expected));
      cuda::compare({}, op, da.view(), db.view(), y.view());
      expect_twins(y.values<uint8_t>(), expected);
    }
  }
}
TEST(CudaCompare, EqualsItsTwin) {
  expect_comparisons<float>(true);
  expect_comparisons<double>(true);
  expect_comparisons<int32_t>(true);
  expect_comparisons<int64_t>(true);
  expect_comparisons<int8_t>(true);
  expect_comparisons<uint8_t>(true);
}

Values<uint8_t> truths(const Shape& shape, unsigned seed) {
  Values<uint8_t> values(shape);
  std::mt19937 generator(seed);
  for (uint8_t& value : values.data) value = generator() & 1;
  return values;
}
TEST(CudaLogic, EqualsItsTwin) {
  for (const Pair& shapes : kPairs) {
    const Values<uint8_t> a = truths(shapes.a, 1), b = truths(shapes.b, 2);
    Values<uint8_t> expected(broadcast(shapes.a, shapes.b));
    const DeviceTensor da(as_bool(a)), db(as_bool(b));
    DeviceTensor y(as_bool(expected));
    for (LogicOp op : {LogicOp::kAnd, LogicOp::kOr, LogicOp::kXor}) {
      cpu::logic({}, op, as_bool(a), as_bool(b), as_bool(expected));
      cuda::logic({}, op, da.view(), db.view(), y.view());
      expect_twins(y.values<uint8_t>(), expected);
    }
    cpu::compare({}, CompareOp::kEqual, as_bool(a), as_bool(b), as_bool(expected));
    cuda::compare({}, CompareOp::kEqual, da.view(), db.view(), y.view());
    expect_twins(y.values<uint8_t>(), expected);
  }
}

template <class T>
void expect_choice() {
  const Shape conditions[] = {{}, {16}, {6, 1}, {6, 16}, {3, 1, 1}};
  for (const Pair& shapes : {Pair{{6, 16}, {6, 16}}, Pair{{16}, {}}, Pair{{6, 1}, {1, 15}}})
    for (const Shape& of : conditions) {
      if (of.rank() > 0 && of[of.rank() - 1] == 16 && shapes.b == Shape{1, 15}) continue;
      const Values<uint8_t> condition = truths(of, 3);
      const auto a = Values<T>::random(shapes.a, 1, 9), b = Values<T>::random(shapes.b, 2, 9);
      Values<T> expected(broadcast(of, broadcast(shapes.a, shapes.b)));
      cpu::where({}, as_bool(condition), a.view(), b.view(), expected.view());
      const DeviceTensor dc(as_bool(condition)), da(a), db(b);
      DeviceTensor y(Values<T>{expected.shape});
      cuda::where({}, dc.view(), da.view(), db.view(), y.view());
      expect_twins(y.values<T>(), expected, 0);
    }
}
TEST(CudaWhere, EqualsItsTwin) {
  expect_choice<float>();
  expect_choice<double>();
  expect_choice<int32_t>();
  expect_choice<uint8_t>();
}

}  // namespace
}  // namespace tandem::test
