// Compressed bodies against zlib's own one-shot functions, and what a hostile one does.
#include "serving/http/content_coding.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include "serving/http/route.h"

namespace tandem {
namespace {

using C = ContentCoding;

std::string zlib_stream(const std::string& text) {
  std::string out(compressBound(text.size()), '\0');
  uLongf size = out.size();
  compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()), text.size());
  return out.substr(0, size);
}

int fault(std::string_view body, C coding, int64_t limit = 1 << 20) {
  try {
    unpack(body, coding, limit);
  } catch (const HttpFault& fault) {
    return fault.status;
  }
  return 200;
}

TEST(ContentCoding, UnpacksWhatOthersPacked) {
  std::string text = "hello ";
  for (int i = 0; i < 16; ++i) text += text;
  EXPECT_EQ(unpack(zlib_stream(text), C::kDeflate, 1 << 20), text);
  for (C coding : {C::kGzip, C::kDeflate})
    for (const std::string& body : {std::string(), std::string("x"), text})
      EXPECT_EQ(unpack(pack(body, coding), coding, 1 << 20), body);
  EXPECT_EQ(pack(text, C::kGzip).substr(0, 2), "\x1f\x8b");
}

TEST(ContentCoding, ABombIsStoppedAtTheLimit) {
  const std::string bomb = pack(std::string(50 << 20, 'x'), C::kGzip);
  ASSERT_LT(bomb.size(), 1u << 19);
  EXPECT_EQ(fault(bomb, C::kGzip), 413);
  EXPECT_EQ(fault(pack(std::string(100, 'x'), C::kGzip), C::kGzip, 99), 413);
  EXPECT_EQ(fault(pack(std::string(100, 'x'), C::kGzip), C::kGzip, 100), 200);
}

TEST(ContentCoding, DamageIsTold) {
  const std::string good = pack("some text that is long enough to be cut", C::kGzip);
  for (size_t length = 0; length < good.size(); ++length) EXPECT_EQ(fault(good.substr(0, length), C::kGzip), 400) << length;
  EXPECT_EQ(fault(good + "more", C::kGzip), 400);
  EXPECT_EQ(fault(good, C::kDeflate), 400);
  EXPECT_EQ(fault("plain", C::kGzip), 400);
  std::string damaged = good;
  damaged[good.size() - 6] ^= 1;  // the checksum
  EXPECT_EQ(fault(damaged, C::kGzip), 400);
}

TEST(ContentCoding, NamesOfCodings) {
  EXPECT_EQ(content_coding(""), C::kIdentity);
  EXPECT_EQ(content_coding("Identity"), C::kIdentity);
  EXPECT_EQ(content_coding(" GZIP "), C::kGzip);
  EXPECT_EQ(content_coding("deflate"), C::kDeflate);
  for (const char* other : {"br", "gzip, gzip", "gzip,deflate", "compress"})
    EXPECT_THROW(content_coding(other), HttpFault) << other;
}

TEST(ContentCoding, AnswersAsTheClientLikesBest) {
  EXPECT_EQ(accepted_coding(""), C::kIdentity);
  EXPECT_EQ(accepted_coding("br"), C::kIdentity);
  EXPECT_EQ(accepted_coding("*"), C::kIdentity);
  EXPECT_EQ(accepted_coding("gzip, deflate"), C::kGzip);
  EXPECT_EQ(accepted_coding("deflate"), C::kDeflate);
  EXPECT_EQ(accepted_coding("gzip;q=0.5, deflate;q=0.8"), C::kDeflate);
  EXPECT_EQ(accepted_coding("deflate;q=0.5,gzip ; q=0.5"), C::kGzip);
  EXPECT_EQ(accepted_coding("gzip;q=0"), C::kIdentity);
  EXPECT_EQ(accepted_coding("gzip;q=nonsense"), C::kIdentity);
  EXPECT_EQ(accepted_coding(",;,=,gzip;;q="), C::kIdentity);
}

}  // namespace
}  // namespace tandem
