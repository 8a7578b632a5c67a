#include "models/data/idx.h"

#include <gmock/gmock.h>

#include "tests/models/data/message_of.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

const std::string kTwoByThree = "\0\0\x08\x02\0\0\0\x02\0\0\0\x03"s + "\1\2\3\4\5\6"s;

std::string refusal(const std::string& bytes) {
  return message_of([&] { parse_idx(bytes, "x.idx"); });
}

TEST(Idx, ReadsBytes) {
  const Tensor tensor = parse_idx(kTwoByThree, "x.idx");
  EXPECT_EQ(tensor.shape(), (Shape{2, 3}));
  EXPECT_THAT(tensor.as<uint8_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Idx, TurnsBigEndianElements) {
  const Tensor tensor = parse_idx("\0\0\x0B\x01\0\0\0\x02"s + "\x01\x02\xFF\xFE"s, "x.idx");
  EXPECT_THAT(tensor.as<int16_t>(), ElementsAre(0x0102, -2));
}

TEST(Idx, EveryPrefixIsRefusedNamingFileAndByte) {
  for (size_t size = 0; size < kTwoByThree.size(); ++size)
    EXPECT_THAT(refusal(kTwoByThree.substr(0, size)), HasSubstr("x.idx, byte " + std::to_string(size)));
}

TEST(Idx, RefusesWrongHeaders) {
  EXPECT_THAT(refusal(kTwoByThree + "\7"), HasSubstr("trailing bytes: x.idx, byte 18"));
  EXPECT_THAT(refusal("PK\3\4"s), HasSubstr("not an IDX file"));
  EXPECT_THAT(refusal("\0\0\x07\x01\0\0\0\0"s), HasSubstr("unknown IDX element type: x.idx, byte 2"));
  EXPECT_THAT(refusal("\0\0\x08\x00"s), HasSubstr("rank is out of range"));
  EXPECT_THAT(refusal("\0\0\x08\x01\xFF\xFF\xFF\xFF"s), HasSubstr("cut short"));
  EXPECT_THAT(refusal("\0\0\x08\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s),
              testing::AnyOf(HasSubstr("overflows"), HasSubstr("limit")));
  EXPECT_THAT(refusal("\0\0\x08\x03\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s), HasSubstr("overflows"));
}

}  // namespace
}  // namespace tandem
