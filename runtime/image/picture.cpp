#include "runtime/image/picture.h"

namespace tandem::image {

std::vector<uint8_t> unpacked(Bytes row, int64_t count, int bits) {
  std::vector<uint8_t> samples(static_cast<size_t>(count));
  part(row, 0, static_cast<uint64_t>((count * bits + 7) / 8));
  for (size_t i = 0; i < samples.size(); ++i) {
    const size_t bit = i * static_cast<size_t>(bits);
    if (bits >= 8)
      samples[i] = row[bit / 8];
    else
      samples[i] = static_cast<uint8_t>(row[bit / 8] >> (8 - bits - static_cast<int>(bit % 8)) & ((1 << bits) - 1));
  }
  return samples;
}

Picture with_colors(const Picture& indices, Bytes colors) {
  Picture picture{.width = indices.width, .height = indices.height, .channels = 3, .samples = {}};
  picture.samples.reserve(indices.samples.size() * 3);
  for (uint8_t index : indices.samples) {
    const Bytes color = part(colors, size_t{3} * index, 3);
    picture.samples.insert(picture.samples.end(), color.begin(), color.end());
  }
  return picture;
}

}  // namespace tandem::image
