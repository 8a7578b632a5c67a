// Tensors of random numbers and their comparison with references in double, for the kernel tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::test {

template <class T>
struct Values {
  Shape shape;
  std::vector<T> data;

  explicit Values(const Shape& s) : shape(s), data(static_cast<size_t>(s.elements())) {}
  Values(const Shape& s, std::vector<T> values) : shape(s), data(std::move(values)) {}
  // Normal numbers, the same for the same seed.
  static Values random(const Shape& shape, unsigned seed, double scale = 1) {
    Values values(shape);
    std::mt19937 generator(seed);
    std::normal_distribution<double> normal(0, scale);
    for (T& value : values.data) value = static_cast<T>(normal(generator));
    return values;
  }

  TensorView view() { return {reinterpret_cast<std::byte*>(data.data()), dtype_of<T>, shape}; }
  ConstTensorView view() const { return {reinterpret_cast<const std::byte*>(data.data()), dtype_of<T>, shape}; }
  T& operator[](int64_t i) { return data[static_cast<size_t>(i)]; }
  const T& operator[](int64_t i) const { return data[static_cast<size_t>(i)]; }
  std::vector<double> doubles() const { return {data.begin(), data.end()}; }
};

// A context with a workspace of exactly `bytes`.
struct Context {
  std::vector<std::byte> memory;
  KernelContext context;
  explicit Context(size_t bytes, int threads = 1) : memory(bytes + 64), context{.threads = threads} {
    const size_t skip = (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    context.workspace = std::span(memory).subspan(skip, bytes);
  }
  operator const KernelContext&() const { return context; }
};

template <class T>
constexpr double kTolerance = std::is_same_v<T, float> ? 1e-5 : 1e-12;

template <class T>
void expect_near(const Values<T>& actual, const std::vector<double>& expected, double tolerance = kTolerance<T>) {
  ASSERT_EQ(actual.data.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(static_cast<double>(actual.data[i]), expected[i], tolerance * std::max(1.0, std::abs(expected[i])))
        << "element " << i;
}

}  // namespace tandem::test
