// A read-only table from a key, a text or a number, to the position at which it stands in a list.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "kernels/base/tensor_view.h"

namespace tandem {

// Equal keys have equal patterns, with NaN equal to NaN. A table holds integers or floating-point numbers, never both.
template <class T>
constexpr uint64_t key_pattern(T key) {
  if constexpr (std::is_floating_point_v<T>) {
    const double number = static_cast<double>(key);
    if (number != number) return 0x7FF8000000000000;
    return std::bit_cast<uint64_t>(number == 0 ? 0.0 : number);
  } else {
    return static_cast<uint64_t>(static_cast<int64_t>(key));
  }
}

// Owns its keys. Safe to read from many threads. Numbers are equal by value, with NaN equal to NaN; of equal keys the first
// counts.
class KeyIndex {
 public:
  static constexpr int64_t kAbsent = -1;

  // `keys` of any number type, or strings. Throws InvalidArgument for another type.
  explicit KeyIndex(ConstTensorView keys);
  KeyIndex(KeyIndex&&) = default;
  KeyIndex& operator=(KeyIndex&&) = default;

  bool holds_text() const { return holds_text_; }
  int64_t size() const { return size_; }
  // The key_pattern of every number, in the order of the list; empty for text.
  std::span<const uint64_t> patterns() const { return patterns_; }

  int64_t find(std::string_view key) const {
    const auto entry = by_text_.find(key);
    return entry == by_text_.end() ? kAbsent : entry->second;
  }
  template <class T>
  requires std::is_arithmetic_v<T> int64_t find(T key)
  const { return find_pattern(key_pattern(key)); }
  int64_t find_pattern(uint64_t pattern) const {
    const auto entry = by_number_.find(pattern);
    return entry == by_number_.end() ? kAbsent : entry->second;
  }

 private:
  bool holds_text_ = false;
  int64_t size_ = 0;
  std::vector<uint64_t> patterns_;
  std::vector<std::string> texts_;  // what the keys of by_text_ point into
  std::unordered_map<std::string_view, int64_t> by_text_;
  std::unordered_map<uint64_t, int64_t> by_number_;
};

}  // namespace tandem
