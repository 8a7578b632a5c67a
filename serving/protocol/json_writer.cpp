#include "serving/protocol/json_writer.h"

#include <charconv>
#include <cmath>

namespace tandem {
namespace {

// Length of the well-formed UTF-8 sequence at `at`, or 0. RFC 3629, table of section 4.
size_t sequence_length(std::string_view s, size_t at) {
  const auto byte = [&](size_t i) { return at + i < s.size() ? static_cast<unsigned char>(s[at + i]) : 0u; };
  const auto follows = [&](size_t i, unsigned low = 0x80, unsigned high = 0xBF) { return byte(i) >= low && byte(i) <= high; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF)
    return follows(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) && follows(2) ? 3 : 0;
  if (lead >= 0xF0 && lead <= 0xF4)
    return follows(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) && follows(2) && follows(3) ? 4 : 0;
  return 0;
}

template <class T>
void append_number(std::string& out, T number) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

template <class T>
void append_float(std::string& out, T number) {
  if (std::isfinite(number))
    append_number(out, number);
  else
    out += "null";
}

}  // namespace

void JsonWriter::separate() {
  if (out_.empty()) return;
  const char last = out_.back();
  if (last != '{' && last != '[' && last != ':' && last != ',') out_ += ',';
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  return *this;
}
JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  return *this;
}
JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  quote(name);
  out_ += ':';
  return *this;
}
JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}
JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  quote(text);
  return *this;
}
JsonWriter& JsonWriter::value(float number) {
  separate();
  append_float(out_, number);
  return *this;
}
JsonWriter& JsonWriter::value(double number) {
  separate();
  append_float(out_, number);
  return *this;
}
JsonWriter& JsonWriter::signed_value(int64_t number) {
  separate();
  append_number(out_, number);
  return *this;
}
JsonWriter& JsonWriter::unsigned_value(uint64_t number) {
  separate();
  append_number(out_, number);
  return *this;
}

void JsonWriter::quote(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out_ += '"';
  for (size_t at = 0; at < text.size();) {
    const size_t length = sequence_length(text, at);
    const auto c = static_cast<unsigned char>(text[at]);
    if (length == 0) {
      out_ += "\xEF\xBF\xBD";  // U+FFFD
    } else if (c == '"' || c == '\\') {
      (out_ += '\\') += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7F) {
      ((out_ += "\\u00") += kHex[c >> 4]) += kHex[c & 15];
    } else {
      out_.append(text, at, length);
    }
    at += length == 0 ? 1 : length;
  }
  out_ += '"';
}

}  // namespace tandem
