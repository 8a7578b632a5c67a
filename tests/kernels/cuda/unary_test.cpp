// The CUDA twins of the functions of one value, their gradients, clip and the predicates against the CPU's.
#include <limits>

#include "kernels/api/elementwise.h"
#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

constexpr UnaryOp kOps[] = {UnaryOp::kAbs,        UnaryOp::kNeg,     UnaryOp::kExp,       UnaryOp::kLog,  UnaryOp::kSqrt,
                            UnaryOp::kReciprocal, UnaryOp::kRelu,    UnaryOp::kSigmoid,   UnaryOp::kTanh, UnaryOp::kErf,
                            UnaryOp::kSoftplus,   UnaryOp::kFloor,   UnaryOp::kCeil,      UnaryOp::kSign, UnaryOp::kSin,
                            UnaryOp::kCos,        UnaryOp::kRound,   UnaryOp::kLeakyRelu, UnaryOp::kElu,  UnaryOp::kHardSigmoid,
                            UnaryOp::kGelu,       UnaryOp::kGeluTanh, UnaryOp::kAsin,     UnaryOp::kAcos, UnaryOp::kAtan,
                            UnaryOp::kTan,        UnaryOp::kSinh,    UnaryOp::kCosh,      UnaryOp::kAsinh, UnaryOp::kAcosh,
                            UnaryOp::kAtanh,      UnaryOp::kSoftsign, UnaryOp::kHardSwish, UnaryOp::kSwish, UnaryOp::kMish,
                            UnaryOp::kSelu,       UnaryOp::kCelu,    UnaryOp::kThresholdedRelu, UnaryOp::kShrink,
                            UnaryOp::kClip};
constexpr UnaryGradOp kGradOps[] = {UnaryGradOp::kRelu,      UnaryGradOp::kSigmoid, UnaryGradOp::kTanh, UnaryGradOp::kHardSigmoid,
                                    UnaryGradOp::kLeakyRelu, UnaryGradOp::kElu,     UnaryGradOp::kErf,  UnaryGradOp::kGelu,
                                    UnaryGradOp::kGeluTanh,  UnaryGradOp::kSoftplus, UnaryGradOp::kHardSwish, UnaryGradOp::kSwish,
                                    UnaryGradOp::kMish};
constexpr UnaryParameters kParameters = {.alpha = 0.3f, .beta = 0.4f};
// Lengths around a vector, a block and a whole number of both.
constexpr int64_t kLengths[] = {0, 1, 3, 4, 5, 8, 17, 1024, 2051};

template <class T>
constexpr T kNan = std::numeric_limits<T>::quiet_NaN();

template <class T>
Values<T> numbers_with_edges(int64_t n, unsigned seed) {
  auto x = Values<T>::random({n}, seed, 3);
  if constexpr (std::is_floating_point_v<T>) {
    const T edges[] = {0,    -T{0},  kNan<T>, std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(), 100,
                       -100, T(0.5), T(2.5)};
    for (int64_t i = 0; i < std::ssize(edges) && i * 2 < n; ++i) x[i * 2] = edges[i];
  } else if (n > 1) {
    x[0] = std::numeric_limits<T>::min();
    x[1] = std::numeric_limits<T>::max();
  }
  return x;
}

template <class T>
void expect_unary(UnaryOp op) {
  for (int64_t n : kLengths)
    for (unsigned seed : kSeeds) {
      const auto x = numbers_with_edges<T>(n, seed);
      Values<T> expected(x.shape);
      cpu::unary({}, op, x.view(), expected.view(), kParameters);
      DeviceTensor dx(x), dy(Values<T>{x.shape});
      cuda::unary({}, op, dx.view(), dy.view(), kParameters);
      expect_twins(dy.values<T>(), expected);
      cuda::unary({}, op, dx.view(), dx.view(), kParameters);  // in place
      expect_twins(dx.values<T>(), expected);
      if (::testing::Test::HasFatalFailure()) FAIL() << "op " << static_cast<int>(op) << ", " << n << " elements";
    }
}

TEST(CudaUnary, EqualsItsTwin) {
  for (UnaryOp op : kOps) {
    expect_unary<float>(op);
    expect_unary<double>(op);
  }
}
TEST(CudaUnary, EqualsItsTwinOnIntegers) {
  for (UnaryOp op : {UnaryOp::kAbs, UnaryOp::kNeg, UnaryOp::kRelu, UnaryOp::kSign, UnaryOp::kShrink, UnaryOp::kBitNot}) {
    expect_unary<int32_t>(op);
    expect_unary<int64_t>(op);
    expect_unary<int8_t>(op);
    expect_unary<uint8_t>(op);
  }
  DeviceTensor x(Values<int32_t>({3}));
  EXPECT_THROW(cuda::unary({}, UnaryOp::kExp, x.view(), x.view()), Error);
}

template <class T>
void expect_gradient(UnaryGradOp op) {
  for (int64_t n : kLengths)
    for (unsigned seed : kSeeds) {
      const auto saved = Values<T>::random({n}, seed), dy = Values<T>::random({n}, seed + 100);
      Values<T> expected(saved.shape);
      cpu::unary_backward({}, op, saved.view(), dy.view(), expected.view(), kParameters);
      DeviceTensor device_saved(saved), device_dy(dy), dx(Values<T>{saved.shape});
      cuda::unary_backward({}, op, device_saved.view(), device_dy.view(), dx.view(), kParameters);
      expect_twins(dx.values<T>(), expected);
      cuda::unary_backward({}, op, device_saved.view(), device_dy.view(), device_dy.view(), kParameters);
      expect_twins(device_dy.values<T>(), expected);
      if (::testing::Test::HasFatalFailure()) FAIL() << "op " << static_cast<int>(op) << ", " << n << " elements";
    }
}
TEST(CudaUnaryBackward, EqualsItsTwin) {
  for (UnaryGradOp op : kGradOps) {
    expect_gradient<float>(op);
    expect_gradient<double>(op);
  }
}

template <class T>
void expect_halves() {
  for (int64_t n : {7, 1025})
    for (unsigned seed : kSeeds) {
      const Halves<T> x({n}, seed), dy({n}, seed + 100);
      Values<float> expected(x.wide.shape);
      DeviceTensor device_x(x.half), device_dy(dy.half), y(x.half);
      for (UnaryOp op : kOps) {
        cpu::unary({}, op, x.wide.view(), expected.view(), kParameters);
        cuda::unary({}, op, device_x.view(), y.view(), kParameters);
        expect_twins(y.values<T>(), expected, kHalfTolerance<T>);
      }
      for (UnaryGradOp op : kGradOps) {
        cpu::unary_backward({}, op, x.wide.view(), dy.wide.view(), expected.view(), kParameters);
        cuda::unary_backward({}, op, device_x.view(), device_dy.view(), y.view(), kParameters);
        expect_twins(y.values<T>(), expected, kHalfTolerance<T>);
      }
      cpu::scale({}, x.wide.view(), expected.view(), 0.3);
      cuda::scale({}, device_x.view(), y.view(), 0.3);
      expect_twins(y.values<T>(), expected, kHalfTolerance<T>);
      cpu::clip({}, x.wide.view(), -0.5, 0.75, expected.view());
      cuda::clip({}, device_x.view(), -0.5, 0.75, y.view());
      expect_twins(y.values<T>(), expected, kHalfTolerance<T>);
    }
}
TEST(CudaUnary, RoundsHalvesOnce) {
  expect_halves<F16>();
  expect_halves<BF16>();
}

template <class T>
void expect_clip() {
  const Values<T> low({}, {T(1)}), high({1}, {T(3)});
  const DeviceTensor device_low(low), device_high(high);
  for (int64_t n : kLengths)
    for (int given = 0; given < 4; ++given) {
      const auto x = numbers_with_edges<T>(n, 5);
      const auto bound = [&](bool there, ConstTensorView view) { return there ? view : ConstTensorView(); };
      Values<T> expected(x.shape);
      DeviceTensor device_x(x), y(expected);
      cpu::clip({}, x.view(), bound(given & 1, low.view()), bound(given & 2, high.view()), expected.view());
      cuda::clip({}, device_x.view(), bound(given & 1, device_low.view()), bound(given & 2, device_high.view()), y.view());
      expect_twins(y.values<T>(), expected);
      cuda::clip({}, device_x.view(), given & 1 ? 1 : -INFINITY, given & 2 ? 3 : INFINITY, y.view());
      expect_twins(y.values<T>(), expected);
      cpu::clip({}, x.view(), given & 1 ? 1 : -INFINITY, given & 2 ? 3 : INFINITY, expected.view());
      expect_twins(y.values<T>(), expected);
      if constexpr (std::is_floating_point_v<T>) {
        const auto dy = Values<T>::random(x.shape, 6);
        DeviceTensor device_dy(dy);
        cpu::clip_backward({}, x.view(), dy.view(), bound(given & 1, low.view()), bound(given & 2, high.view()), expected.view());
        cuda::clip_backward({}, device_x.view(), device_dy.view(), bound(given & 1, device_low.view()),
                            bound(given & 2, device_high.view()), y.view());
        expect_twins(y.values<T>(), expected);
      }
    }
}
TEST(CudaClip, EqualsItsTwin) {
  expect_clip<float>();
  expect_clip<double>();
  expect_clip<int32_t>();
  expect_clip<int64_t>();
  expect_clip<int8_t>();
  expect_clip<uint8_t>();
}

template <class T>
void expect_predicates() {
  for (int64_t n : kLengths) {
    const auto x = numbers_with_edges<T>(n, 7);
    const DeviceTensor device_x(x);
    Values<uint8_t> expected(x.shape);
    DeviceTensor y(as_bool(expected));
    cpu::is_nan({}, x.view(), as_bool(expected));
    cuda::is_nan({}, device_x.view(), y.view());
    expect_twins(y.values<uint8_t>(), expected);
    for (int signs = 0; signs < 4; ++signs) {
      cpu::is_inf({}, x.view(), as_bool(expected), signs & 1, signs & 2);
      cuda::is_inf({}, device_x.view(), y.view(), signs & 1, signs & 2);
      expect_twins(y.values<uint8_t>(), expected);
    }
    cpu::logical_not({}, as_bool(expected), as_bool(expected));
    cuda::logical_not({}, y.view(), y.view());
    expect_twins(y.values<uint8_t>(), expected);
  }
}
TEST(CudaPredicates, EqualTheirTwins) {
  expect_predicates<float>();
  expect_predicates<double>();
  const Values<F16> halves({4}, {{0x7C00}, {0xFC00}, {0x7E01}, {0x7BFF}});
  const DeviceTensor x(halves);
  DeviceTensor y(as_bool(Values<uint8_t>({4})));
  cuda::is_inf({}, x.view(), y.view(), true, false);
  EXPECT_EQ(y.values<uint8_t>().data, (std::vector<uint8_t>{1, 0, 0, 0}));
  cuda::is_nan({}, x.view(), y.view());
  EXPECT_EQ(y.values<uint8_t>().data, (std::vector<uint8_t>{0, 0, 1, 0}));
}

TEST(CudaScale, EqualsItsTwin) {
  for (int64_t n : kLengths) {
    const auto x = numbers_with_edges<double>(n, 8);
    Values<double> expected(x.shape);
    DeviceTensor y(x);
    cpu::scale({}, x.view(), expected.view(), 1.0 / 3);
    cuda::scale({}, y.view(), y.view(), 1.0 / 3);
    expect_twins(y.values<double>(), expected);
  }
}

// A tensor that begins anywhere in its memory, as the views of a packed vector do.
TEST(CudaUnary, TakesUnalignedMemory) {
  const auto x = Values<float>::random({1003}, 9);
  Values<float> expected({1000});
  DeviceTensor device_x(x), device_y(x);
  for (int64_t begin = 0; begin < 4; ++begin) {
    const auto part = [&](std::byte* data) { return TensorView{data + begin * 4, DType::kF32, {1000}}; };
    cpu::unary({}, UnaryOp::kExp, {x.view().data + begin * 4, DType::kF32, {1000}}, expected.view());
    cuda::unary({}, UnaryOp::kExp, part(device_x.view().data), part(device_y.view().data));
    const auto y = device_y.values<float>();
    expect_twins(Values<float>({1000}, {y.data.begin() + begin, y.data.begin() + begin + 1000}), expected);
    if (begin < 3) {
      EXPECT_EQ(y.data.back(), x.data.back());
    }
  }
}

}  // namespace
}  // namespace tandem::test
