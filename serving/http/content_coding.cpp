#include "serving/http/content_coding.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "kernels/base/error.h"
#include "serving/http/route.h"

namespace tandem {
namespace {

constexpr int kGzipWindow = 15 + 16, kZlibWindow = 15;  // zlib's words for the two formats
constexpr size_t kPieceBytes = 256 << 10;

int window_of(ContentCoding coding) { return coding == ContentCoding::kGzip ? kGzipWindow : kZlibWindow; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

// Calls visit(part) for the parts of a list, trimmed.
template <class Visit>
void for_each_part(std::string_view list, char separator, Visit&& visit) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(separator), list.size());
    visit(trimmed(list.substr(0, end)));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

// Owns what zlib allocates.
class Inflater {
 public:
  explicit Inflater(ContentCoding coding) {
    check(inflateInit2(&stream_, window_of(coding)) == Z_OK, ErrorCode::kOutOfMemory, "no memory to unpack a body");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  std::string run(std::string_view body, int64_t limit) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
    stream_.avail_in = static_cast<uInt>(body.size());  // a body is below 4 GiB (Limits)
    std::string out;
    int state = Z_OK;
    while (state != Z_STREAM_END) {
      const size_t before = out.size(), room = std::min<size_t>(kPieceBytes, static_cast<size_t>(limit) + 1 - before);
      out.resize(before + room);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + before);
      stream_.avail_out = static_cast<uInt>(room);
      state = inflate(&stream_, Z_NO_FLUSH);
      out.resize(out.size() - stream_.avail_out);
      if (static_cast<int64_t>(out.size()) > limit)
        throw HttpFault{413, "the request body is larger than the limit of " + std::to_string(limit) +
                                 " bytes once it is unpacked (the server's --max-body)"};
      if (state != Z_OK && state != Z_STREAM_END) throw HttpFault{400, "the compressed request body is damaged or cut short"};
    }
    if (stream_.avail_in > 0) throw HttpFault{400, "bytes follow the end of the compressed request body"};
    return out;
  }

 private:
  z_stream stream_{};
};

}  // namespace

std::string_view name(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kGzip: return "gzip";
    case ContentCoding::kDeflate: return "deflate";
    case ContentCoding::kIdentity: break;
  }
  return "identity";
}

ContentCoding content_coding(std::string_view content_encoding) {
  const std::string_view coding = trimmed(content_encoding);
  if (coding.empty() || equals_ignoring_case(coding, "identity")) return ContentCoding::kIdentity;
  if (equals_ignoring_case(coding, "gzip") || equals_ignoring_case(coding, "x-gzip")) return ContentCoding::kGzip;
  if (equals_ignoring_case(coding, "deflate")) return ContentCoding::kDeflate;
  throw HttpFault{415, "Content-Encoding must be one of gzip, deflate and identity"};
}

ContentCoding accepted_coding(std::string_view accept_encoding) {
  double best = 0;
  ContentCoding coding = ContentCoding::kIdentity;
  for_each_part(accept_encoding, ',', [&](std::string_view part) {
    const std::string_view asked = trimmed(part.substr(0, part.find(';')));
    const bool gzip = equals_ignoring_case(asked, "gzip");
    if (!gzip && !equals_ignoring_case(asked, "deflate")) return;
    double quality = 1;
    for_each_part(part.substr(std::min(asked.size(), part.size())), ';', [&](std::string_view parameter) {
      if (!parameter.starts_with("q=") && !parameter.starts_with("Q=")) return;
      if (std::from_chars(parameter.data() + 2, parameter.data() + parameter.size(), quality).ec != std::errc()) quality = 0;
    });
    if (quality < best || quality <= 0 || (quality == best && !gzip)) return;
    best = quality;
    coding = gzip ? ContentCoding::kGzip : ContentCoding::kDeflate;
  });
  return coding;
}

std::string unpack(std::string_view body, ContentCoding coding, int64_t limit) { return Inflater(coding).run(body, limit); }

std::string pack(std::string_view body, ContentCoding coding) {
  check(body.size() <= std::numeric_limits<uInt>::max(), ErrorCode::kInvalidArgument, "an answer of 4 GiB cannot be compressed");
  z_stream stream{};
  check(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window_of(coding), 8, Z_DEFAULT_STRATEGY) == Z_OK,
        ErrorCode::kOutOfMemory, "no memory to pack an answer");
  std::string out(deflateBound(&stream, body.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int state = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  ensure(state == Z_STREAM_END, "an answer was not packed whole");
  return out;
}

}  // namespace tandem
