#include "models/data/utf8.h"

#include "kernels/base/error.h"

namespace tandem {
namespace {

// The smallest number that needs 1 + i continuation bytes: what is below it in that many bytes is overlong.
constexpr uint32_t kSmallest[] = {0x80, 0x800, 0x10000};

constexpr bool is_character(uint32_t point) { return point < 0xD800 || (point >= 0xE000 && point <= 0x10FFFF); }

// Reads one character at `at` and steps over it; false if it is malformed.
bool decode(std::string_view text, size_t& at, uint32_t& point) {
  const auto lead = static_cast<uint8_t>(text[at++]);
  if (lead < 0x80) {
    point = lead;
    return true;
  }
  const int more = lead >= 0xC0 && lead < 0xE0 ? 1 : lead >= 0xE0 && lead < 0xF0 ? 2 : lead >= 0xF0 && lead < 0xF8 ? 3 : 0;
  if (more == 0) return false;
  point = lead & (0x3Fu >> more);
  for (int i = 0; i < more; ++i, ++at) {
    if (at == text.size() || (static_cast<uint8_t>(text[at]) & 0xC0) != 0x80) return false;
    point = point << 6 | (static_cast<uint8_t>(text[at]) & 0x3F);
  }
  return point >= kSmallest[more - 1] && is_character(point);
}

}  // namespace

bool is_utf8(std::string_view text) {
  uint32_t point;
  for (size_t at = 0; at < text.size();)
    if (!decode(text, at, point)) return false;
  return true;
}

bool append_utf8(std::string& out, uint32_t point) {
  if (!is_character(point)) return false;
  const auto more = [&](int shift) { out.push_back(static_cast<char>(0x80 | ((point >> shift) & 0x3F))); };
  if (point < 0x80) {
    out.push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out.push_back(static_cast<char>(0xC0 | point >> 6));
    more(0);
  } else if (point < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | point >> 12));
    more(6), more(0);
  } else {
    out.push_back(static_cast<char>(0xF0 | point >> 18));
    more(12), more(6), more(0);
  }
  return true;
}

std::u32string utf32_of(std::string_view text) {
  std::u32string points;
  uint32_t point;
  for (size_t at = 0; at < text.size();) {
    require(decode(text, at, point), "text is not UTF-8", "byte " + std::to_string(at));
    points.push_back(point);
  }
  return points;
}

}  // namespace tandem
