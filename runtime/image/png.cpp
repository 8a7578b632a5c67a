// PNG (ISO/IEC 15948): all color types and depths, interlaced too. Checksums are not checked, transparency is dropped.
#include <array>
#include <cstdlib>

#include "runtime/image/picture.h"

namespace tandem::image {
namespace {

struct Header {
  int64_t width, height;
  int bits, color;
  bool interlaced;
  int channels() const { return std::array{1, 0, 3, 1, 2, 0, 4}[static_cast<size_t>(color)]; }
  int64_t row_bytes(int64_t pixels) const { return (pixels * channels() * bits + 7) / 8; }
};

Header read_header(Bytes chunk) {
  const auto field = [&](uint64_t at, int count) { return number(chunk, at, count, true); };
  const Header h{field(0, 4), field(4, 4), static_cast<int>(field(8, 1)), static_cast<int>(field(9, 1)), field(12, 1) == 1};
  check_size(h.width, h.height);
  const bool known = h.color == 0 || h.color == 2 || h.color == 3 || h.color == 4 || h.color == 6;
  const bool small = h.bits == 1 || h.bits == 2 || h.bits == 4;
  expect(known && (h.bits == 8 || (h.bits == 16 && h.color != 3) || (small && (h.color == 0 || h.color == 3))),
         "PNG of a strange color type");
  return h;
}

uint8_t paeth(int left, int above, int corner) {
  const int p = left + above - corner, to_left = std::abs(p - left), to_above = std::abs(p - above),
            to_corner = std::abs(p - corner);
  if (to_left <= to_above && to_left <= to_corner) return static_cast<uint8_t>(left);
  return static_cast<uint8_t>(to_above <= to_corner ? above : corner);
}

// Undoes the filter of a row, given the one above.
void unfilter(int filter, size_t step, const std::vector<uint8_t>& above, std::vector<uint8_t>& row) {
  expect(filter <= 4, "PNG with a strange filter");
  for (size_t i = 0; i < row.size(); ++i) {
    const int left = i >= step ? row[i - step] : 0, up = above[i], corner = i >= step ? above[i - step] : 0;
    const std::array<int, 5> predicted = {0, left, up, (left + up) / 2, paeth(left, up, corner)};
    row[i] = static_cast<uint8_t>(row[i] + predicted[static_cast<size_t>(filter)]);
  }
}

// Pixels first_x + i * step_x, first_y + j * step_y.
struct Pass {
  int64_t first_x, first_y, step_x, step_y;
  int64_t columns(const Header& h) const { return h.width <= first_x ? 0 : (h.width - first_x + step_x - 1) / step_x; }
  int64_t rows(const Header& h) const { return h.height <= first_y ? 0 : (h.height - first_y + step_y - 1) / step_y; }
};
constexpr Pass kWhole[] = {{0, 0, 1, 1}};
constexpr Pass kInterlaced[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

// One pass, from the front of `data`; returns what is left. Gray of fewer than 8 bits is spread over 0 to 255.
Bytes read_pass(const Header& h, const Pass& pass, Bytes data, Picture& picture) {
  const int64_t columns = pass.columns(h), rows = columns ? pass.rows(h) : 0;
  const auto length = static_cast<size_t>(h.row_bytes(columns)),
             step = static_cast<size_t>(std::max(1, h.channels() * h.bits / 8));
  const int spread = h.color == 0 && h.bits < 8 ? 255 / ((1 << h.bits) - 1) : 1;
  std::vector<uint8_t> above(length, 0);
  for (int64_t r = 0; r < rows; ++r) {
    const Bytes line = part(data, 0, length + 1);
    std::vector<uint8_t> row(line.begin() + 1, line.end());
    unfilter(line[0], step, above, row);
    const std::vector<uint8_t> samples = unpacked(row, columns * h.channels(), h.bits);
    for (int64_t c = 0; c < columns; ++c)
      for (int k = 0; k < picture.channels; ++k) {
        const int64_t pixel = (pass.first_y + r * pass.step_y) * h.width + pass.first_x + c * pass.step_x;
        picture.samples[static_cast<size_t>(pixel * picture.channels + k)] =
            static_cast<uint8_t>(samples[static_cast<size_t>(c * h.channels() + k)] * spread);
      }
    above = std::move(row);
    data = data.subspan(length + 1);
  }
  return data;
}

}  // namespace

Picture read_png(Bytes bytes) {
  constexpr size_t kSignature = 8;
  Header header{};
  std::vector<uint8_t> compressed, palette;
  for (uint64_t at = kSignature; at < bytes.size();) {
    const uint32_t length = number(bytes, at, 4, true);
    const Bytes type = part(bytes, at + 4, 4), chunk = part(bytes, at + 8, length);
    expect(header.width > 0 || starts_with(type, "IHDR"), "PNG without a header");
    if (starts_with(type, "IHDR")) header = read_header(chunk);
    if (starts_with(type, "PLTE")) palette.assign(chunk.begin(), chunk.end());
    if (starts_with(type, "IDAT")) compressed.insert(compressed.end(), chunk.begin(), chunk.end());
    if (starts_with(type, "IEND")) break;
    at += uint64_t{length} + 12;
  }
  expect(header.width > 0, "PNG without a header");
  const std::span<const Pass> passes = header.interlaced ? std::span<const Pass>(kInterlaced) : std::span<const Pass>(kWhole);
  int64_t expected = 0;
  for (const Pass& pass : passes)
    if (pass.columns(header)) expected += (header.row_bytes(pass.columns(header)) + 1) * pass.rows(header);
  const std::vector<uint8_t> data = inflated(compressed, expected);
  expect(static_cast<int64_t>(data.size()) == expected, "PNG with too few pixels");
  Picture picture{
      .width = header.width, .height = header.height, .channels = header.color == 2 || header.color == 6 ? 3 : 1, .samples = {}};
  picture.samples.resize(static_cast<size_t>(header.width * header.height * picture.channels));
  Bytes rest = data;
  for (const Pass& pass : passes) rest = read_pass(header, pass, rest, picture);
  return header.color == 3 ? with_colors(picture, palette) : picture;
}

}  // namespace tandem::image
