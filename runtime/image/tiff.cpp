// TIFF 6.0, the first picture of a file: gray, palette and RGB of 8 bits in strips; plain, PackBits, LZW and deflate, with or
// without the horizontal predictor.
#include <map>

#include "runtime/image/picture.h"

namespace tandem::image {
namespace {

enum Tag : uint32_t {
  kWidth = 256,
  kHeight = 257,
  kBits = 258,
  kCompression = 259,
  kPhotometric = 262,
  kOffsets = 273,
  kSamples = 277,
  kRows = 278,
  kCounts = 279,
  kPlanar = 284,
  kPredictor = 317,
  kColors = 320,
};

// The numbers of the first directory, by tag.
class Directory {
 public:
  explicit Directory(Bytes bytes) : bytes_(bytes), big_(bytes[0] == 'M') {
    const uint32_t start = number(bytes, 4, 4, big_), count = number(bytes, start, 2, big_);
    for (uint32_t i = 0; i < count; ++i) read_entry(uint64_t{start} + 2 + uint64_t{12} * i);
  }
  uint32_t get(Tag tag, uint32_t fallback) const {
    const auto found = values_.find(tag);
    return found == values_.end() || found->second.empty() ? fallback : found->second[0];
  }
  const std::vector<uint32_t>& list(Tag tag) { return values_[tag]; }

 private:
  void read_entry(uint64_t at) {
    const uint32_t tag = number(bytes_, at, 2, big_), type = number(bytes_, at + 2, 2, big_),
                   count = number(bytes_, at + 4, 4, big_);
    const int size = type == 1 ? 1 : type == 3 ? 2 : type == 4 ? 4 : 0;
    if (size == 0) return;  // text, fractions: nothing that is needed
    const uint64_t length = uint64_t{count} * static_cast<uint64_t>(size),
                   from = length <= 4 ? at + 8 : number(bytes_, at + 8, 4, big_);
    part(bytes_, from, length);
    std::vector<uint32_t>& list = values_[tag];
    list.clear();
    for (uint64_t i = 0; i < count; ++i) list.push_back(number(bytes_, from + i * static_cast<uint64_t>(size), size, big_));
  }

  Bytes bytes_;
  bool big_;
  std::map<uint32_t, std::vector<uint32_t>> values_;
};

std::vector<uint8_t> unpack_bits(Bytes bytes, size_t most) {
  std::vector<uint8_t> out;
  for (size_t at = 0; at < bytes.size() && out.size() < most;) {
    const int head = static_cast<int8_t>(bytes[at++]);
    if (head >= 0) {
      const Bytes run = part(bytes, at, static_cast<uint64_t>(head) + 1);
      out.insert(out.end(), run.begin(), run.end());
      at += run.size();
    } else if (head != -128) {
      out.insert(out.end(), static_cast<size_t>(1 - head), part(bytes, at++, 1)[0]);
    }
  }
  return out;
}

// Codes of 9 to 12 bits, most significant first. Each entry of the table is a stretch of what was already written.
std::vector<uint8_t> unpack_lzw(Bytes bytes, size_t most) {
  constexpr uint32_t kClear = 256, kEnd = 257, kFirst = 258, kMostCodes = 4096;
  struct Entry {
    size_t at, length;
  };
  std::vector<Entry> table;
  std::vector<uint8_t> out;
  Entry previous{0, 0};
  int bits = 9;
  for (uint64_t bit = 0; bit + static_cast<uint64_t>(bits) <= bytes.size() * 8 && out.size() < most;) {
    uint32_t code = 0;
    for (int i = 0; i < bits; ++i, ++bit) code = code << 1 | (bytes[static_cast<size_t>(bit / 8)] >> (7 - bit % 8) & 1);
    if (code == kEnd) break;
    if (code == kClear) {
      table.clear();
      bits = 9;
      previous = {0, 0};
      continue;
    }
    const size_t start = out.size();
    // An entry is the previous stretch and the byte behind it, which for the newest entry is only now written.
    const bool newest = code == kFirst + table.size();
    expect(code < kClear || code < kFirst + table.size() || (newest && previous.length > 0), "LZW code without an entry");
    const Entry entry = code < kClear ? Entry{0, 0} : newest ? Entry{previous.at, previous.length + 1} : table[code - kFirst];
    if (code < kClear) out.push_back(static_cast<uint8_t>(code));
    for (size_t i = 0; i < entry.length; ++i) out.push_back(out[entry.at + i]);
    if (previous.length > 0 && kFirst + table.size() < kMostCodes) table.push_back({previous.at, previous.length + 1});
    previous = {start, out.size() - start};
    const size_t next = kFirst + table.size() + 1;  // codes grow one early
    bits = next >= 2048 ? 12 : next >= 1024 ? 11 : next >= 512 ? 10 : 9;
  }
  return out;
}

std::vector<uint8_t> unpack(Bytes strip, uint32_t compression, size_t most) {
  switch (compression) {
    case 1: return {strip.begin(), strip.begin() + static_cast<std::ptrdiff_t>(std::min(strip.size(), most))};
    case 5: return unpack_lzw(strip, most);
    case 8:
    case 32946: return inflated(strip, static_cast<int64_t>(most));
    case 32773: return unpack_bits(strip, most);
    default: fail(ErrorCode::kInvalidArgument, "TIFF with a compression that is not read", {compression});
  }
}

void undo_predictor(std::vector<uint8_t>& samples, size_t row, size_t step) {
  for (size_t i = 0; i < samples.size(); ++i)
    if (i % row >= step) samples[i] = static_cast<uint8_t>(samples[i] + samples[i - step]);
}

// Colors of 16 bits, all reds first, as bytes of red, green, blue.
std::vector<uint8_t> palette(const std::vector<uint32_t>& colors) {
  std::vector<uint8_t> all;
  const size_t count = colors.size() / 3;
  for (size_t i = 0; i < count; ++i)
    for (size_t k = 0; k < 3; ++k) all.push_back(static_cast<uint8_t>(colors[k * count + i] >> 8));
  return all;
}

}  // namespace

Picture read_tiff(Bytes bytes) {
  Directory tags(bytes);
  const uint32_t samples = tags.get(kSamples, 1), photometric = tags.get(kPhotometric, 1);
  Picture picture{
      .width = tags.get(kWidth, 0), .height = tags.get(kHeight, 0), .channels = photometric == 2 ? 3 : 1, .samples = {}};
  check_size(picture.width, picture.height);
  expect(photometric <= 3 && samples >= static_cast<uint32_t>(picture.channels) && samples <= 8,
         "TIFF of a color that is not read");
  for (uint32_t bits : tags.list(kBits)) expect(bits == 8, "TIFF samples of other than 8 bits are not read");
  expect(!tags.list(kBits).empty() && (samples == 1 || tags.get(kPlanar, 1) == 1), "TIFF with planes apart is not read");
  const size_t row = static_cast<size_t>(picture.width) * samples, height = static_cast<size_t>(picture.height);
  const size_t strip_rows = std::max<size_t>(1, std::min<size_t>(tags.get(kRows, UINT32_MAX), height));
  std::vector<uint8_t> all;
  const auto &offsets = tags.list(kOffsets), &counts = tags.list(kCounts);
  for (size_t i = 0; i < offsets.size() && i < counts.size() && all.size() < row * height; ++i) {
    const size_t most = std::min(row * strip_rows, row * height - all.size());
    std::vector<uint8_t> strip = unpack(part(bytes, offsets[i], counts[i]), tags.get(kCompression, 1), most);
    expect(strip.size() >= most, "TIFF with too few pixels");
    strip.resize(most);
    if (tags.get(kPredictor, 1) == 2) undo_predictor(strip, row, samples);
    all.insert(all.end(), strip.begin(), strip.end());
  }
  expect(all.size() == row * height, "TIFF with too few pixels");
  for (size_t i = 0; i < all.size(); ++i)
    if (i % samples < static_cast<size_t>(picture.channels))
      picture.samples.push_back(photometric == 0 ? static_cast<uint8_t>(255 - all[i]) : all[i]);
  return photometric == 3 ? with_colors(picture, palette(tags.list(kColors))) : picture;
}

}  // namespace tandem::image
