// Portable anymaps: PBM, PGM and PPM, as text (P1 to P3) and as bytes (P4 to P6).
#include "runtime/image/picture.h"

namespace tandem::image {
namespace {

// Numbers between white space and comments.
class Words {
 public:
  explicit Words(Bytes bytes) : bytes_(bytes) {}

  int64_t next() {
    skip();
    expect(at_ < bytes_.size() && is_digit(bytes_[at_]), "anymap without the number that comes here");
    int64_t value = 0;
    for (; at_ < bytes_.size() && is_digit(bytes_[at_]); ++at_)
      value = std::min<int64_t>(value * 10 + (bytes_[at_] - '0'), INT32_MAX);
    return value;
  }
  // One digit, 0 or 1: those of a bitmap may stand without space between them.
  int64_t next_bit() {
    skip();
    expect(at_ < bytes_.size() && (bytes_[at_] == '0' || bytes_[at_] == '1'), "bitmap without the digit that comes here");
    return bytes_[at_++] - '0';
  }
  // What follows the single white space behind the last number.
  Bytes rest() const { return bytes_.subspan(std::min(at_ + 1, bytes_.size())); }

 private:
  static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
  static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  void skip() {
    for (bool comment = false; at_ < bytes_.size() && (comment || is_space(bytes_[at_]) || bytes_[at_] == '#'); ++at_)
      comment = bytes_[at_] == '#' || (comment && bytes_[at_] != '\n');
  }

  Bytes bytes_;
  size_t at_ = 0;
};

uint8_t scaled(int64_t value, int64_t most) { return static_cast<uint8_t>((std::min(value, most) * 255 + most / 2) / most); }

// Samples of one or two bytes.
void read_bytes(Bytes data, int64_t count, int64_t most, std::vector<uint8_t>& samples) {
  const int64_t each = most > 255 ? 2 : 1;
  const Bytes all = part(data, 0, static_cast<uint64_t>(count * each));
  for (int64_t i = 0; i < count; ++i)
    samples.push_back(scaled(number(all, static_cast<uint64_t>(i * each), static_cast<int>(each), true), most));
}

}  // namespace

Picture read_pnm(Bytes bytes) {
  const int kind = bytes[1] - '0';
  const bool text = kind <= 3, bitmap = kind == 1 || kind == 4;
  Words words(bytes.subspan(2));
  Picture picture;
  picture.width = words.next();
  picture.height = words.next();
  picture.channels = kind == 3 || kind == 6 ? 3 : 1;
  const int64_t most = bitmap ? 1 : words.next();
  check_size(picture.width, picture.height);
  expect(most >= 1 && most <= 65535, "anymap with a strange largest value");
  const int64_t count = picture.width * picture.height * picture.channels;
  if (text) {
    for (int64_t i = 0; i < count; ++i)
      picture.samples.push_back(bitmap ? (words.next_bit() ? 0 : 255) : scaled(words.next(), most));
  } else if (bitmap) {
    const int64_t stride = (picture.width + 7) / 8;
    const Bytes rows = part(words.rest(), 0, static_cast<uint64_t>(stride * picture.height));
    for (int64_t y = 0; y < picture.height; ++y)
      for (uint8_t bit : unpacked(rows.subspan(static_cast<size_t>(y * stride)), picture.width, 1))
        picture.samples.push_back(bit ? 0 : 255);
  } else {
    read_bytes(words.rest(), count, most, picture.samples);
  }
  return picture;
}

}  // namespace tandem::image
