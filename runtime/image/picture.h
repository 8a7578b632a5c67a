// What the decoders of this folder share: a picture of 8-bit samples, and careful reading of its bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/base/error.h"

namespace tandem::image {

using Bytes = std::span<const uint8_t>;

inline constexpr int64_t kMostPixels = int64_t{1} << 28;

struct Picture {
  int64_t width = 0, height = 0;
  int channels = 3;              // 1: gray, 3: red, green, blue
  std::vector<uint8_t> samples;  // row by row, channels last
};

// Throw InvalidArgument: the decoders' way to say that the bytes are broken.
inline void expect(bool holds, std::string_view text) { require(holds, text); }
inline void check_size(int64_t width, int64_t height) {
  expect(width >= 1 && height >= 1 && width <= kMostPixels / height, "a picture needs a size, and not too large a one");
}
// Whether so many bytes may well hold so many pixels: asked before a library takes memory for what a file claims.
inline bool is_plausible(int64_t width, int64_t height, Bytes bytes) {
  constexpr int64_t kAlways = int64_t{1} << 24, kMostPerByte = 1024;
  return width >= 1 && height >= 1 && width <= kMostPixels / height &&
         width * height <= kAlways + kMostPerByte * static_cast<int64_t>(bytes.size());
}
// `count` bytes from `at` on.
inline Bytes part(Bytes bytes, uint64_t at, uint64_t count) {
  expect(at <= bytes.size() && count <= bytes.size() - at, "the picture ends too early");
  return bytes.subspan(static_cast<size_t>(at), static_cast<size_t>(count));
}
inline bool starts_with(Bytes bytes, std::string_view signature) {
  return bytes.size() >= signature.size() && std::equal(signature.begin(), signature.end(), bytes.begin(),
                                                        [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}
inline uint32_t number(Bytes bytes, uint64_t at, int count, bool big_endian) {
  const Bytes digits = part(bytes, at, static_cast<uint64_t>(count));
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | digits[static_cast<size_t>(big_endian ? i : count - 1 - i)];
  return value;
}

// `count` samples of 1, 2, 4, 8 or 16 bits, most significant first, as they are; of 16 bits the upper 8.
std::vector<uint8_t> unpacked(Bytes row, int64_t count, int bits);
// The samples as indices into `colors`, three bytes each.
Picture with_colors(const Picture& indices, Bytes colors);
// zlib's format; at most `most` bytes come out. Throws InvalidArgument if the data is broken.
std::vector<uint8_t> inflated(Bytes bytes, int64_t most);

Picture read_bmp(Bytes bytes);
Picture read_jpeg(Bytes bytes);
Picture read_jpeg2000(Bytes bytes);
Picture read_png(Bytes bytes);
Picture read_pnm(Bytes bytes);
Picture read_tiff(Bytes bytes);
Picture read_webp(Bytes bytes);

}  // namespace tandem::image
