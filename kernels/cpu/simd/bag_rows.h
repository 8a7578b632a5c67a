// The sum, mean or maximum of some rows of a table, in registers, while rows that follow are on their way from memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/embedding_bag.h"

namespace tandem::cpu::simd {

template <class T>
struct BagRows {
  const T* table = nullptr;
  int64_t rows = 0, width = 0;
  const std::byte* indices = nullptr;  // in [-rows, rows)
  bool wide = true;                    // i64; else i32
  int64_t stride = 1;                  // between the bag's indices, and between its weights
  int64_t count = 0, known = 0;        // of the bag; and with those that follow it
  const T* weights = nullptr;          // sums only; null: all 1
};

template <class T>
struct BagRowOps {
  // y: `width` elements
  void (*reduce)(const BagRows<T>& bag, BagMode mode, T* y);
};

// For the best instruction set, or that of TANDEM_ISA. An element's bits depend on the bag alone.
template <class T>
const BagRowOps<T>& bag_row_ops();
template <>
const BagRowOps<float>& bag_row_ops<float>();
template <>
const BagRowOps<double>& bag_row_ops<double>();

}  // namespace tandem::cpu::simd
