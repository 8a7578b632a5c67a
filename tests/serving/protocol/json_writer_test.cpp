#include "serving/protocol/json_writer.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <limits>

#include "kernels/base/philox.h"
#include "models/data/utf8.h"

namespace tandem {
namespace {

template <class T>
std::string text_of(const T& value) {
  std::string text;
  JsonWriter(text).value(value);
  return text;
}

TEST(JsonWriter, PutsCommasWhereTheyBelong) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("a", 1).key("b").begin_array().value("x").value(true).begin_array().end_array().end_array();
  json.key("c").begin_object().end_object().member("d", -2).end_object();
  EXPECT_EQ(text, R"({"a":1,"b":["x",true,[]],"c":{},"d":-2})");
}

TEST(JsonWriter, ATextThatEndsLikeABracketIsNoBracket) {
  std::string text;
  JsonWriter(text).begin_array().value("[").value("{").value(",").end_array();
  EXPECT_EQ(text, R"(["[","{",","])");
}

TEST(JsonWriter, EscapesAndReplacesWhatIsNoUtf8) {
  EXPECT_EQ(text_of(std::string("a\"\\\n\x01\x7f")), R"("a\"\\\u000a\u0001\u007f")");
  EXPECT_EQ(text_of(std::string("grüß 漢 😀")), "\"grüß 漢 😀\"");
  EXPECT_EQ(text_of(std::string("\xFF\xC0\xAF")), "\"\uFFFD\uFFFD\uFFFD\"");
}

TEST(JsonWriter, KnowsUtf8) {
  EXPECT_TRUE(is_utf8("grüß 漢 😀"));
  for (const char* bad :
       {"\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xC3", "\xE6\xBC"})
    EXPECT_FALSE(is_utf8(bad));
}

TEST(JsonWriter, FloatsReadBackToTheSameBits) {
  for (uint64_t i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<float>(philox(7, i, 0)[0]);
    if (value != value || value - value != 0) continue;
    EXPECT_EQ(std::bit_cast<uint32_t>(std::strtof(text_of(value).c_str(), nullptr)), std::bit_cast<uint32_t>(value));
  }
  EXPECT_EQ(text_of(0.1f), "0.1");
  EXPECT_EQ(text_of(0.1), "0.1");
  EXPECT_EQ(text_of(-0.0f), "-0");
  EXPECT_EQ(text_of(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(text_of(-std::numeric_limits<float>::infinity()), "null");
}

TEST(JsonWriter, IntegersOfAllSizes) {
  EXPECT_EQ(text_of(uint64_t{18446744073709551615u}), "18446744073709551615");
  EXPECT_EQ(text_of(std::numeric_limits<int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(text_of(int8_t{-5}), "-5");
  EXPECT_EQ(text_of(uint8_t{200}), "200");
}

}  // namespace
}  // namespace tandem
