// The CUDA twin of cast between every two types against the CPU's, and its copies and fills.
#include <limits>

#include "kernels/api/elementwise.h"
#include "kernels/api/movement.h"
#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

constexpr DType kTypes[] = {DType::kF32, DType::kF64,  DType::kI32, DType::kI64, DType::kU8,
                            DType::kI8,  DType::kBool, DType::kF16, DType::kBF16};

// The bytes of `from` after a cast to `to`.
std::vector<std::byte> on_cpu(ConstTensorView from, DType to) {
  std::vector<std::byte> bytes(static_cast<size_t>(from.elements()) * size_of(to));
  cpu::cast({}, from, {bytes.data(), to, from.shape});
  return bytes;
}
std::vector<std::byte> on_gpu(ConstTensorView from, DType to) {
  const DeviceMemory x(from);
  DeviceMemory y(static_cast<size_t>(from.elements()) * size_of(to));
  cuda::cast({}, {x.data(), from.dtype, from.shape}, {y.data(), to, from.shape});
  return y.read();
}

Values<double> numbers(int64_t n, unsigned seed) {
  auto x = Values<double>::random({n}, seed, 50);
  const double edges[] = {0,
                          -0.0,
                          0.5,
                          -0.5,
                          1,
                          127.5,
                          128,
                          -129,
                          255.9,
                          256,
                          65519.9,
                          65520,
                          1e5,
                          2147483647.5,
                          -2147483649.0,
                          1e19,
                          -1e19,
                          1e39,
                          1e-7,
                          3e-8,
                          std::numeric_limits<double>::infinity(),
                          -std::numeric_limits<double>::infinity(),
                          std::numeric_limits<double>::quiet_NaN()};
  for (int64_t i = 0; i < std::ssize(edges) && i < n; ++i) x[i] = edges[i];
  return x;
}

// The elements as f64: NaN has many forms.
Values<double> doubles(const std::vector<std::byte>& bytes, DType type, int64_t n) {
  const std::vector<std::byte> wide = on_cpu({bytes.data(), type, {n}}, DType::kF64);
  Values<double> values({n});
  std::copy(wide.begin(), wide.end(), values.view().data);
  return values;
}

TEST(CudaCast, EqualsItsTwin) {
  for (unsigned seed : kSeeds)
    for (int64_t n : {0, 1, 37, 1040})
      for (DType from : kTypes) {
        const std::vector<std::byte> source = on_cpu(numbers(n, seed).view(), from);
        for (DType to : kTypes) {
          const ConstTensorView x{source.data(), from, {n}};
          expect_twins(doubles(on_gpu(x, to), to, n), doubles(on_cpu(x, to), to, n), 0);
          ASSERT_FALSE(HasFatalFailure()) << n << " elements from " << name(from) << " to " << name(to);
        }
      }
}

TEST(Cast, RoundsToHalvesAndBack) {
  const Values<float> x({7}, {1, -2.5f, 65504, 65520, 1e-8f, 0.1f, -0.0f});
  const std::vector<std::byte> halves = on_cpu(x.view(), DType::kF16),
                               back = on_cpu({halves.data(), DType::kF16, {7}}, DType::kF32);
  const float expected[] = {1, -2.5f, 65504, std::numeric_limits<float>::infinity(), 0, 0.0999755859375f, -0.0f};
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(reinterpret_cast<const float*>(back.data())[i], expected[i]);
  const std::vector<std::byte> brains = on_cpu(x.view(), DType::kBF16),
                               whole = on_cpu({brains.data(), DType::kBF16, {7}}, DType::kI32);
  const int32_t wholes[] = {1, -2, 65536, 65536, 0, 0, 0};
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(reinterpret_cast<const int32_t*>(whole.data())[i], wholes[i]);
}

TEST(CudaCopy, CopiesAndFillsAnyElement) {
  for (int64_t n : {0, 1, 37, 1040})
    for (DType type : kTypes) {
      const Values<double> wide = numbers(n + 1, 1);
      const std::vector<std::byte> source = on_cpu(wide.view(), type);
      const DeviceMemory x({source.data(), type, {n + 1}});
      DeviceMemory y(x.bytes());
      cuda::copy({}, {x.data() + size_of(type), type, {n}}, {y.data() + size_of(type), type, {n}});  // not aligned
      cuda::copy({}, {x.data(), type, {}}, {y.data(), type, {1}});
      EXPECT_EQ(y.read(), source) << name(type);
      cuda::fill({}, {x.data(), type, {1}}, {y.data(), type, {n + 1}});
      const std::vector<std::byte> filled = y.read();
      for (size_t i = 0; i < filled.size(); ++i) ASSERT_EQ(filled[i], source[i % size_of(type)]) << name(type);
    }
}

}  // namespace
}  // namespace tandem::test
