// Pictures written here, byte by byte, and read back; then cut short and damaged everywhere.
#include "runtime/image/decode.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <map>
#include <string>

#include "kernels/base/error.h"

namespace tandem {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kWidth = 23, kHeight = 19;

// A pixel pattern with all sorts of neighbours.
uint8_t sample(int x, int y, int channel) { return static_cast<uint8_t>((x * 37 + y * 101 + channel * 59 + x * y * 7) % 256); }
uint8_t gray(int x, int y) { return sample(x, y, 0); }

Bytes rgb_pixels() {
  Bytes all;
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      for (int c = 0; c < 3; ++c) all.push_back(sample(x, y, c));
  return all;
}
Bytes gray_pixels() {
  Bytes all;
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x) all.push_back(gray(x, y));
  return all;
}

void append(Bytes& to, const std::string& text) { to.insert(to.end(), text.begin(), text.end()); }
void append(Bytes& to, const Bytes& bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }
void append(Bytes& to, uint32_t value, int count, bool big) {
  for (int i = 0; i < count; ++i) to.push_back(static_cast<uint8_t>(value >> 8 * (big ? count - 1 - i : i)));
}

Bytes deflated(const Bytes& data) {
  Bytes out(compressBound(data.size()));
  uLongf size = out.size();
  compress(out.data(), &size, data.data(), data.size());
  out.resize(size);
  return out;
}

// PNG with each row under another filter; the filter is applied here as the standard defines it.
Bytes png(const Bytes& pixels, int color, int step) {
  const auto row = static_cast<size_t>(kWidth * step);
  const auto at = [&](int64_t y, int64_t i) -> int {
    return y < 0 || i < 0 ? 0 : pixels[static_cast<size_t>(y) * row + static_cast<size_t>(i)];
  };
  Bytes lines;
  for (int y = 0; y < kHeight; ++y) {
    lines.push_back(static_cast<uint8_t>(y % 5));
    for (int i = 0; i < static_cast<int>(row); ++i) {
      const int a = at(y, i - step), b = at(y - 1, i), c = i < step ? 0 : at(y - 1, i - step), p = a + b - c;
      const int nearest = std::abs(p - a) <= std::abs(p - b) && std::abs(p - a) <= std::abs(p - c) ? a
                          : std::abs(p - b) <= std::abs(p - c)                                     ? b
                                                                                                   : c;
      const int guesses[] = {0, a, b, (a + b) / 2, nearest};
      lines.push_back(static_cast<uint8_t>(at(y, i) - guesses[y % 5]));
    }
  }
  Bytes file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const auto chunk = [&](const std::string& type, const Bytes& data) {
    append(file, static_cast<uint32_t>(data.size()), 4, true);
    append(file, type);
    append(file, data);
    append(file, 0, 4, true);
  };
  Bytes header;
  append(header, kWidth, 4, true);
  append(header, kHeight, 4, true);
  append(header, Bytes{8, static_cast<uint8_t>(color), 0, 0, 0});
  chunk("IHDR", header);
  const Bytes data = deflated(lines);
  chunk("IDAT", Bytes(data.begin(), data.begin() + 20));
  chunk("IDAT", Bytes(data.begin() + 20, data.end()));
  chunk("IEND", {});
  return file;
}

Bytes bmp() {
  const uint32_t stride = (kWidth * 3 + 3) / 4 * 4;
  Bytes file = {'B', 'M'};
  for (uint32_t value : {54 + stride * kHeight, 0u, 54u, 40u, uint32_t{kWidth}, uint32_t{kHeight}}) append(file, value, 4, false);
  append(file, 1, 2, false);
  append(file, 24, 2, false);
  for (int i = 0; i < 6; ++i) append(file, 0, 4, false);
  for (int y = kHeight - 1; y >= 0; --y) {
    for (int x = 0; x < kWidth; ++x)
      for (int c = 2; c >= 0; --c) file.push_back(sample(x, y, c));
    append(file, 0, static_cast<int>(stride) - kWidth * 3, false);
  }
  return file;
}

// As the specification's appendix puts it: codes grow when the next free one has another bit.
Bytes lzw(const Bytes& data) {
  std::string bits, prefix;
  std::map<std::string, uint32_t> table;
  int width = 9;
  const auto put = [&](uint32_t code) {
    for (int i = width - 1; i >= 0; --i) bits += code >> i & 1 ? '1' : '0';
  };
  const auto code_of = [&](const std::string& text) { return text.size() == 1 ? static_cast<uint8_t>(text[0]) : table.at(text); };
  put(256);
  for (uint8_t byte : data) {
    const std::string longer = prefix + static_cast<char>(byte);
    if (longer.size() == 1 || table.contains(longer)) {
      prefix = longer;
      continue;
    }
    put(code_of(prefix));
    const auto code = static_cast<uint32_t>(258 + table.size());
    table[longer] = code;
    if (code == 511 || code == 1023 || code == 2047) ++width;
    prefix = static_cast<char>(byte);
  }
  put(code_of(prefix));
  put(257);
  Bytes out((bits.size() + 7) / 8, 0);
  for (size_t i = 0; i < bits.size(); ++i)
    if (bits[i] == '1') out[i / 8] = static_cast<uint8_t>(out[i / 8] | 0x80 >> i % 8);
  return out;
}
// The first element repeated, then the rest as it is.
Bytes pack_bits(const Bytes& data) {
  Bytes out;
  for (size_t i = 0; i < data.size();) {
    if (i + 1 < data.size() && data[i] == data[i + 1]) {
      out.push_back(static_cast<uint8_t>(-1));
      out.push_back(data[i]);
      i += 2;
    } else {
      out.push_back(0);
      out.push_back(data[i++]);
    }
  }
  return out;
}

// TIFF in two strips; `samples` of 1 or 3.
Bytes tiff(const Bytes& pixels, uint32_t samples, uint32_t compression, bool big, bool predicted) {
  const size_t row = kWidth * samples, first_rows = 12;
  Bytes stored = pixels;
  if (predicted)
    for (size_t i = stored.size(); i-- > 0;)
      if (i % row >= samples) stored[i] = static_cast<uint8_t>(stored[i] - stored[i - samples]);
  const auto strip = [&](size_t from, size_t to) {
    const Bytes plain(stored.begin() + static_cast<std::ptrdiff_t>(from * row),
                      stored.begin() + static_cast<std::ptrdiff_t>(to * row));
    return compression == 5 ? lzw(plain) : compression == 8 ? deflated(plain) : compression == 32773 ? pack_bits(plain) : plain;
  };
  const Bytes strips[] = {strip(0, first_rows), strip(first_rows, kHeight)};
  const auto first = static_cast<uint32_t>(strips[0].size()), second = static_cast<uint32_t>(strips[1].size());
  const uint32_t lists = 8 + 2 + 12 * 11 + 4, data = lists + 22;
  Bytes file = {static_cast<uint8_t>(big ? 'M' : 'I'), static_cast<uint8_t>(big ? 'M' : 'I')};
  append(file, 42, 2, big);
  append(file, 8, 4, big);
  append(file, 11, 2, big);
  const auto entry = [&](uint32_t tag, uint32_t type, uint32_t count, uint32_t value) {
    append(file, tag, 2, big);
    append(file, type, 2, big);
    append(file, count, 4, big);
    append(file, value, type == 3 && count == 1 ? 2 : 4, big);
    if (type == 3 && count == 1) append(file, 0, 2, big);
  };
  entry(256, 4, 1, kWidth), entry(257, 4, 1, kHeight);
  if (samples == 1)
    entry(258, 3, 1, 8);
  else
    entry(258, 3, 3, lists);
  entry(259, 3, 1, compression), entry(262, 3, 1, samples == 3 ? 2 : 1), entry(273, 4, 2, lists + 6), entry(277, 3, 1, samples);
  entry(278, 3, 1, first_rows), entry(279, 4, 2, lists + 14), entry(284, 3, 1, 1), entry(317, 3, 1, predicted ? 2 : 1);
  append(file, 0, 4, big);
  for (int i = 0; i < 3; ++i) append(file, 8, 2, big);
  for (uint32_t value : {data, data + first, first, second}) append(file, value, 4, big);
  append(file, strips[0]);
  append(file, strips[1]);
  return file;
}

Bytes ppm() {
  Bytes file;
  append(file, "P6\n# by hand\n23 19\n255\n");
  append(file, rgb_pixels());
  return file;
}

struct Named {
  std::string name;
  Bytes bytes;
  bool color;
};

std::vector<Named> pictures() {
  std::vector<Named> all = {{"PNG", png(rgb_pixels(), 2, 3), true},
                            {"gray PNG", png(gray_pixels(), 0, 1), false},
                            {"BMP", bmp(), true},
                            {"PPM", ppm(), true}};
  for (uint32_t compression : {1u, 5u, 8u, 32773u})
    for (bool big : {false, true}) {
      all.push_back({"TIFF " + std::to_string(compression), tiff(rgb_pixels(), 3, compression, big, big), true});
      all.push_back({"gray TIFF " + std::to_string(compression), tiff(gray_pixels(), 1, compression, big, !big), false});
    }
  Bytes text;
  append(text, "P2 23 19 255");
  for (uint8_t value : gray_pixels()) append(text, " " + std::to_string(value));
  all.push_back({"PGM as text", text, false});
  return all;
}

TEST(Decode, GivesThePixelsInEveryFormat) {
  for (const Named& picture : pictures()) {
    SCOPED_TRACE(picture.name);
    for (PixelFormat format : {PixelFormat::kRgb, PixelFormat::kBgr}) {
      const DecodedImage image = decode_image(picture.bytes, format);
      ASSERT_EQ(image.height, kHeight);
      ASSERT_EQ(image.width, kWidth);
      ASSERT_EQ(image.channels, 3);
      for (int y = 0; y < kHeight; ++y)
        for (int x = 0; x < kWidth; ++x)
          for (int c = 0; c < 3; ++c) {
            const int channel = format == PixelFormat::kRgb ? c : 2 - c;
            ASSERT_EQ(image.samples[static_cast<size_t>((y * kWidth + x) * 3 + c)],
                      picture.color ? sample(x, y, channel) : gray(x, y))
                << x << ", " << y;
          }
    }
  }
}

TEST(Decode, WeighsColorsToGray) {
  for (const Named& picture : pictures()) {
    const DecodedImage image = decode_image(picture.bytes, PixelFormat::kGrayscale);
    ASSERT_EQ(image.channels, 1) << picture.name;
    for (int y = 0; y < kHeight; ++y)
      for (int x = 0; x < kWidth; ++x) {
        const double weighed = 0.299 * sample(x, y, 0) + 0.587 * sample(x, y, 1) + 0.114 * sample(x, y, 2);
        EXPECT_NEAR(image.samples[static_cast<size_t>(y * kWidth + x)], picture.color ? weighed : gray(x, y), 0.51)
            << picture.name;
      }
  }
}

TEST(Decode, ReadsBitmaps) {
  const DecodedImage text =
      decode_image(Bytes{'P', '1', ' ', '3', ' ', '2', '\n', '1', '0', '1', ' ', '0', '0', ' ', '1'}, PixelFormat::kGrayscale);
  EXPECT_EQ(text.samples, (Bytes{0, 255, 0, 255, 255, 0}));
  const DecodedImage packed = decode_image(Bytes{'P', '4', ' ', '3', ' ', '2', '\n', 0xA0, 0x20}, PixelFormat::kGrayscale);
  EXPECT_EQ(packed.samples, text.samples);
}

TEST(Decode, GivesNothingForWhatIsBroken) {
  const auto is_empty = [](const DecodedImage& image) {
    return image.height == 0 && image.width == 0 && image.channels == 0 && image.samples.empty();
  };
  EXPECT_TRUE(is_empty(decode_image({}, PixelFormat::kRgb)));
  EXPECT_TRUE(is_empty(decode_image(Bytes{1, 2, 3, 4, 5}, PixelFormat::kRgb)));
  for (const Named& picture : pictures())
    for (size_t length = 0; length < picture.bytes.size(); ++length) {
      const DecodedImage cut = decode_image(std::span(picture.bytes).first(length), PixelFormat::kRgb);
      EXPECT_TRUE(is_empty(cut) || cut.samples.size() == kWidth * kHeight * 3) << picture.name << " cut to " << length;
    }
}

TEST(Decode, SurvivesAnyDamagedByte) {
  for (const Named& picture : pictures())
    for (size_t i = 0; i < picture.bytes.size(); ++i)
      for (uint8_t damage : {0x01, 0x80, 0xFF}) {
        Bytes bytes = picture.bytes;
        bytes[i] ^= damage;
        try {
          const DecodedImage image = decode_image(bytes, PixelFormat::kRgb);
          EXPECT_EQ(static_cast<int64_t>(image.samples.size()), image.height * image.width * image.channels);
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
        }
      }
}

TEST(Decode, TakesNoMemoryForWhatIsOnlyClaimed) {
  Bytes huge = png(rgb_pixels(), 2, 3);
  huge[17] = huge[21] = 0x3F;  // some four million pixels each way
  EXPECT_EQ(decode_image(huge, PixelFormat::kRgb).height, 0);
}

}  // namespace
}  // namespace tandem
