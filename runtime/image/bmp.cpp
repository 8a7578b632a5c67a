// Windows bitmaps without compression: 1, 4 and 8 bits with a palette, 24 and 32 bits.
#include "runtime/image/picture.h"

namespace tandem::image {
namespace {

constexpr uint32_t kHeader = 14;  // of the file, before that of the bitmap

// A palette of blue, green, red, unused as red, green, blue.
std::vector<uint8_t> palette(Bytes bytes, uint64_t at, uint32_t colors) {
  const Bytes entries = part(bytes, at, uint64_t{4} * colors);
  std::vector<uint8_t> all;
  for (size_t i = 0; i < colors; ++i) all.insert(all.end(), {entries[4 * i + 2], entries[4 * i + 1], entries[4 * i]});
  return all;
}

}  // namespace

Picture read_bmp(Bytes bytes) {
  const auto field = [&](uint64_t at, int count) { return number(bytes, at, count, false); };
  const uint32_t data = field(10, 4), header = field(14, 4), compression = field(30, 4);
  const int64_t width = static_cast<int32_t>(field(18, 4)), signed_height = static_cast<int32_t>(field(22, 4));
  const int bits = static_cast<int>(field(28, 2));
  const int64_t height = std::abs(signed_height);
  check_size(width, height);
  expect(header >= 40 && (compression == 0 || (compression == 3 && bits == 32)), "bitmap of a kind that is not read");
  expect(bits == 1 || bits == 4 || bits == 8 || bits == 24 || bits == 32, "bitmap of a strange depth");
  const int64_t stride = (width * bits + 31) / 32 * 4;
  const Bytes rows = part(bytes, data, static_cast<uint64_t>(stride * height));
  Picture picture{.width = width, .height = height, .channels = bits <= 8 ? 1 : 3, .samples = {}};
  for (int64_t y = 0; y < height; ++y) {
    const Bytes row =
        rows.subspan(static_cast<size_t>((signed_height > 0 ? height - 1 - y : y) * stride), static_cast<size_t>(stride));
    if (bits <= 8) {
      const std::vector<uint8_t> indices = unpacked(row, width, bits);
      picture.samples.insert(picture.samples.end(), indices.begin(), indices.end());
    }
    for (size_t x = 0; bits > 8 && x < static_cast<size_t>(width); ++x) {
      const Bytes pixel = row.subspan(x * static_cast<size_t>(bits / 8), 3);
      picture.samples.insert(picture.samples.end(), {pixel[2], pixel[1], pixel[0]});
    }
  }
  if (bits > 8) return picture;
  const uint32_t used = field(46, 4);
  return with_colors(picture, palette(bytes, kHeader + header, used ? std::min(used, 256u) : 1u << bits));
}

}  // namespace tandem::image
