// The accuracy that kernels/api/elementwise.h and reduce.h promise, against long double.
#include "kernels/api/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/api/reduce.h"
#include "kernels/base/philox.h"

namespace tandem {
namespace {

using Exact = long double (*)(long double);

std::vector<float> evaluate(UnaryOp op, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  const Shape shape{static_cast<int64_t>(x.size())};
  cpu::unary({.threads = 2}, op, {reinterpret_cast<const std::byte*>(x.data()), DType::kF32, shape},
             {reinterpret_cast<std::byte*>(y.data()), DType::kF32, shape}, {.alpha = 1});
  return y;
}

// The distance of two neighbouring floats at |value|.
long double unit_of(long double value) {
  const float v = std::max(std::fabs(static_cast<float>(value)), std::numeric_limits<float>::min());
  return static_cast<long double>(std::nextafter(v, std::numeric_limits<float>::infinity())) - static_cast<long double>(v);
}

// Evenly spread values of [low, high], and as many of random magnitude down to 1e-30 on either side of 0 that fall inside.
std::vector<float> samples(double low, double high) {
  std::vector<float> x;
  for (uint64_t i = 0; i < 200'000; ++i) {
    const auto words = philox(11, i, 0);
    x.push_back(static_cast<float>(low + (high - low) * static_cast<double>(unit_float(words[0]))));
    const double magnitude = std::pow(10.0, -30.0 + 34.0 * static_cast<double>(unit_float(words[1])));
    const double small = words[2] & 1 ? magnitude : -magnitude;
    if (small >= low && small <= high) x.push_back(static_cast<float>(small));
  }
  return x;
}

struct Accuracy {
  const char* name;
  UnaryOp op;
  Exact exact;
  double low, high;
  double ulp;
};

long double sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }
long double softplus(long double x) { return std::max(x, 0.0L) + std::log1p(std::exp(-std::fabs(x))); }

const Accuracy kAccuracies[] = {
    {"exp", UnaryOp::kExp, std::exp, -87, 88.7, 2},
    {"log", UnaryOp::kLog, std::log, 1e-30, 1e30, 4},
    {"sqrt", UnaryOp::kSqrt, std::sqrt, 0, 1e30, 0.501},
    {"sigmoid", UnaryOp::kSigmoid, sigmoid, -80, 80, 4},
    {"tanh", UnaryOp::kTanh, std::tanh, -20, 20, 4},
    {"erf", UnaryOp::kErf, std::erf, -6, 6, 2},
    {"softplus", UnaryOp::kSoftplus, softplus, -80, 80, 4},
    {"sin", UnaryOp::kSin, std::sin, -3, 3, 3},
    {"cos", UnaryOp::kCos, std::cos, -1.5, 1.5, 3},
    {"reciprocal", UnaryOp::kReciprocal, [](long double x) { return 1 / x; }, 1e-30, 1e30, 0.501},
};

class UnaryAccuracy : public ::testing::TestWithParam<Accuracy> {};

TEST_P(UnaryAccuracy, IsWithinTheStatedUlps) {
  const Accuracy& one = GetParam();
  const std::vector<float> x = samples(one.low, one.high), y = evaluate(one.op, x);
  long double worst = 0;
  float at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const long double exact = one.exact(static_cast<long double>(x[i]));
    const long double error = std::fabs(static_cast<long double>(y[i]) - exact) / unit_of(exact);
    if (error > worst) {
      worst = error;
      at = x[i];
    }
  }
  EXPECT_LE(static_cast<double>(worst), one.ulp) << "worst at x = " << at;
}

INSTANTIATE_TEST_SUITE_P(F32, UnaryAccuracy, ::testing::ValuesIn(kAccuracies),
                         [](const auto& info) { return std::string(info.param.name); });

// Gelu by tanh and Elu cancel in their tails: the bound is relative to x (Gelu) and to alpha (Elu).
TEST(UnaryAccuracy, GeluIsWithinFourUlpsOfItsArgument) {
  const std::vector<float> x = samples(-9, 9), y = evaluate(UnaryOp::kGelu, x), z = evaluate(UnaryOp::kGeluTanh, x);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<long double>(x[i]);
    const long double exact = 0.5L * v * std::erfc(-v / std::sqrt(2.0L));
    const long double approximate =
        0.5L * v * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846L) * (v + 0.044715L * v * v * v)));
    ASSERT_LE(std::fabs(static_cast<long double>(y[i]) - exact), 4 * unit_of(v)) << x[i];
    ASSERT_LE(std::fabs(static_cast<long double>(z[i]) - approximate), 4 * unit_of(v)) << x[i];
  }
}

TEST(UnaryAccuracy, GeluKeepsItsDigitsInItsTail) {
  for (float x : samples(-12.9, 12.9)) {
    const auto v = static_cast<long double>(x);
    const long double exact = 0.5L * v * std::erfc(-v / std::sqrt(2.0L));
    const long double bound = (10 + (x < 0 ? v * v : 0)) * 0x1p-24L * std::fabs(exact);
    ASSERT_LE(std::fabs(static_cast<long double>(evaluate(UnaryOp::kGelu, {x})[0]) - exact), bound + 0x1p-149L) << x;
  }
}

TEST(UnaryAccuracy, SlopeOfGeluIsWithinItsAbsoluteBound) {
  const std::vector<float> x = samples(-13, 13), one(x.size(), 1.0f);
  std::vector<float> slope(x.size());
  const auto view = [](const std::vector<float>& of) {
    return ConstTensorView{reinterpret_cast<const std::byte*>(of.data()), DType::kF32, {static_cast<int64_t>(of.size())}};
  };
  cpu::unary_backward({.threads = 2}, UnaryGradOp::kGelu, view(x), view(one),
                      {reinterpret_cast<std::byte*>(slope.data()), DType::kF32, {static_cast<int64_t>(slope.size())}});
  for (size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<long double>(x[i]);
    const long double density = std::exp(-v * v / 2) / std::sqrt(2 * 3.14159265358979323846L);
    ASSERT_LE(std::fabs(static_cast<long double>(slope[i]) - (0.5L * std::erfc(-v / std::sqrt(2.0L)) + v * density)), 0x1.4p-22L) << x[i];
  }
}

TEST(UnaryAccuracy, GeluIsZeroOrItsArgumentFarFromZero) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> y = evaluate(UnaryOp::kGelu, {-1e30f, -14, 14, 1e30f, infinity, nan});
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 0);
  EXPECT_EQ(y[2], 14);
  EXPECT_EQ(y[3], 1e30f);
  EXPECT_EQ(y[4], infinity);
  EXPECT_TRUE(std::isnan(y[5]));
}

TEST(UnaryAccuracy, EluIsWithinItsAbsoluteBound) {
  const std::vector<float> x = samples(-20, 0), y = evaluate(UnaryOp::kElu, x);
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_LE(std::fabs(static_cast<long double>(y[i]) - std::expm1(static_cast<long double>(x[i]))), 0x1p-22L) << x[i];
}

TEST(UnaryAccuracy, SinAndCosAreWithinTheirAbsoluteBound) {
  const std::vector<float> x = samples(-60'000, 60'000), y = evaluate(UnaryOp::kSin, x), z = evaluate(UnaryOp::kCos, x);
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_LE(std::fabs(static_cast<long double>(y[i]) - std::sin(static_cast<long double>(x[i]))), 0x1p-22L) << x[i];
    ASSERT_LE(std::fabs(static_cast<long double>(z[i]) - std::cos(static_cast<long double>(x[i]))), 0x1p-22L) << x[i];
  }
}

// A value's result does not depend on where it stands: each of a full vector and of every shorter tail.
TEST(Unary, DoesNotDependOnThePosition) {
  for (UnaryOp op : {UnaryOp::kExp, UnaryOp::kErf, UnaryOp::kTanh, UnaryOp::kSin}) {
    const float expected = evaluate(op, {0.7311f})[0];
    for (size_t n = 1; n < 40; ++n)
      for (float y : evaluate(op, std::vector<float>(n, 0.7311f))) ASSERT_EQ(y, expected) << n;
  }
}

// A short row by many: whatever is written out several times, an element is the op of its two numbers.
TEST(Binary, ShortRowsMeetEveryRow) {
  const auto view = [](std::vector<float>& x, const Shape& shape) { return TensorView{reinterpret_cast<std::byte*>(x.data()), DType::kF32, shape}; };
  for (const int64_t n : {1, 7, 32, 144, 256, 257})
    for (const int64_t rows : {1, 2, 63, 700}) {
      std::vector<float> row, all, y(static_cast<size_t>(n * rows));
      for (int64_t i = 0; i < n; ++i) row.push_back(1.5f + static_cast<float>(i));
      for (int64_t i = 0; i < n * rows; ++i) all.push_back(static_cast<float>(i % 1009) - 500.0f);
      const Shape row_shape{1, 1, n}, shape{rows, 1, n};
      for (const int threads : {1, 3})
        for (const bool is_first : {false, true}) {
          cpu::binary({.threads = threads}, BinaryOp::kDiv, is_first ? view(row, row_shape) : view(all, shape),
                      is_first ? view(all, shape) : view(row, row_shape), view(y, shape));
          for (size_t i = 0; i < y.size(); ++i) {
            const float one = row[i % static_cast<size_t>(n)];
            ASSERT_EQ(y[i], is_first ? one / all[i] : all[i] / one) << n << " by " << rows << " at " << i;
          }
        }
    }
}

TEST(Reduce, SumsOfAMillionAreWithinTheStatedBound) {
  const int64_t n = 1'000'003;
  std::vector<float> x;
  long double exact = 0, magnitude = 0;
  for (int64_t i = 0; i < n; ++i) {
    x.push_back(unit_float(philox(5, static_cast<uint64_t>(i), 0)[0]) - 0.3f);
    exact += static_cast<long double>(x.back());
    magnitude += std::fabs(static_cast<long double>(x.back()));
  }
  for (const Shape& shape : {Shape{n, 1}, Shape{1, n}}) {
    float sum = 0;
    cpu::reduce({}, ReduceOp::kSum, {reinterpret_cast<const std::byte*>(x.data()), DType::kF32, shape},
                {reinterpret_cast<std::byte*>(&sum), DType::kF32, {1, 1}}, 3);
    EXPECT_LE(std::fabs(static_cast<long double>(sum) - exact), 2e-6L * magnitude);
  }
}

// Columns of many rows, which a team shares by rows: more images than threads, fewer, more columns than are held at once, and maxima.
TEST(Reduce, SumsOfColumnsDependNeitherOnTheTeamNorOnTheBatch) {
  for (const Shape& shape : {Shape{3, 530, 70}, Shape{2, 131, 64}, Shape{1, 300, 193}, Shape{1, 129, 2100}}) {
    std::vector<float> x;
    for (int64_t i = 0; i < shape.elements(); ++i) x.push_back(unit_float(philox(6, static_cast<uint64_t>(i), 0)[0]) - 0.3f);
    const int64_t columns = shape[2], image = shape[1] * columns;
    for (const ReduceOp op : {ReduceOp::kMean, ReduceOp::kLogSumExp, ReduceOp::kMax}) {
      const auto reduced = [&](int threads, int64_t first, int64_t images) {
        std::vector<float> y(static_cast<size_t>(images * columns));
        cpu::reduce({.threads = threads}, op, {reinterpret_cast<const std::byte*>(x.data() + first * image), DType::kF32, {images, shape[1], columns}},
                    {reinterpret_cast<std::byte*>(y.data()), DType::kF32, {images, 1, columns}}, 2);
        return y;
      };
      const std::vector<float> y = reduced(1, 0, shape[0]);
      for (const int threads : {2, 3}) EXPECT_EQ(reduced(threads, 0, shape[0]), y) << to_string(shape) << ' ' << threads;
      for (int64_t i = 0; i < shape[0]; ++i)
        EXPECT_EQ(reduced(2, i, 1), std::vector<float>(y.begin() + i * columns, y.begin() + (i + 1) * columns)) << to_string(shape);
      if (op != ReduceOp::kMean) continue;
      for (size_t at = 0; at < y.size(); ++at) {
        double sum = 0;
        for (int64_t r = 0; r < shape[1]; ++r) sum += static_cast<double>(x[static_cast<size_t>(static_cast<int64_t>(at) / columns * image + r * columns + static_cast<int64_t>(at) % columns)]);
        ASSERT_NEAR(y[at], sum / static_cast<double>(shape[1]), 1e-6) << to_string(shape);
      }
    }
  }
}

}  // namespace
}  // namespace tandem
