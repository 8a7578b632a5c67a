// Arrays of numbers from JSON text, without a tree of them in between. For this folder only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tandem {

enum class ArrayFault : uint8_t {
  kNone,
  kNotNumber,   // what stands there is no number of JSON, or one with a fraction or an exponent where an integer is wanted
  kOutOfRange,  // of the type
  kCount,       // the array has fewer elements, or more
};

struct ArrayRead {
  size_t elements = 0;  // that were read before the fault
  ArrayFault fault = ArrayFault::kNone;
};

// Reads out.size() numbers behind a '[' at `at`, and its ']': `at` then stands behind it, if there is no fault. The text must end with a ']'. Numbers become the double
// nearest to them (ties to even), then T: float, double, F16, BF16 (beyond their range: kOutOfRange); or integers of 8 to 64 bits.
template <class T>
ArrayRead read_json_numbers(const char*& at, const char* end, std::span<T> out);

}  // namespace tandem
