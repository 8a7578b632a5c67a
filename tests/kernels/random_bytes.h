// A tensor of 8-bit integers drawn from a seed, read back as numbers whatever their sign.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/base/tensor_view.h"

namespace tandem {

struct Bytes {
  DType type;
  Shape shape;
  std::vector<std::byte> data;

  static Bytes random(DType type, const Shape& shape, unsigned seed) {
    std::mt19937 generator(seed);
    Bytes bytes{type, shape, std::vector<std::byte>(static_cast<size_t>(shape.elements()))};
    for (std::byte& b : bytes.data) b = static_cast<std::byte>(generator());
    return bytes;
  }
  ConstTensorView view() const { return {data.data(), type, shape}; }
  int operator[](int64_t i) const {
    const auto bits = static_cast<uint8_t>(data[static_cast<size_t>(i)]);
    return type == DType::kI8 ? static_cast<int8_t>(bits) : bits;
  }
};

}  // namespace tandem
