// Numbers and text one after another, little-endian: how a graph lies in a compiled model. The reader believes nothing.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "kernels/base/error.h"

namespace tandem {

static_assert(std::endian::native == std::endian::little);

class ByteWriter {
 public:
  template <class T>
  requires std::integral<T> || std::floating_point<T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void put(std::string_view text) {
    put(static_cast<uint64_t>(text.size()));
    bytes_.append(text);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Throws InvalidArgument for a read past the end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }

  template <class T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text() { return std::string(take(get<uint64_t>())); }
  // A number of items of which each takes `least` bytes or more: there is room for so many.
  size_t count(size_t least) {
    const auto items = get<uint64_t>();
    require(items <= bytes_.size() / least, "a count exceeds what is there (count, bytes left)", items, bytes_.size());
    return static_cast<size_t>(items);
  }
  // One of the first `values` values of an enumeration or of a bool.
  template <class E>
  E choice(int values) {
    const auto value = get<uint8_t>();
    require(value < values, "a code is unknown (has, number of codes)", value, values);
    return static_cast<E>(value);
  }

 private:
  std::string_view take(uint64_t bytes) {
    require(bytes <= bytes_.size(), "the record ends too early (bytes asked for, left)", bytes, bytes_.size());
    const std::string_view taken = bytes_.substr(0, static_cast<size_t>(bytes));
    bytes_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view bytes_;
};

}  // namespace tandem
