// Bodies that are compressed on their way: gzip and deflate (RFC 9110 sections 8.4 and 12.5.3; deflate is a zlib stream, RFC
// 1950).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tandem {

enum class ContentCoding : uint8_t { kIdentity, kGzip, kDeflate };
std::string_view name(ContentCoding coding);

// The coding that a Content-Encoding names, case aside. Throws HttpFault 415 for another, and for more than one: a body is
// unpacked once.
ContentCoding content_coding(std::string_view content_encoding);
// What to answer with: of gzip and deflate the one that Accept-Encoding values highest, gzip of equals; identity where neither is
// named.
ContentCoding accepted_coding(std::string_view accept_encoding);

// Throws HttpFault 413 beyond `limit` bytes (of which no more are made), 400 for a body that is cut short, damaged, or followed
// by something.
std::string unpack(std::string_view body, ContentCoding coding, int64_t limit);
std::string pack(std::string_view body, ContentCoding coding);

}  // namespace tandem
