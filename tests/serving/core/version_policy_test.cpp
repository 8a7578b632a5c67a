#include "serving/core/version_policy.h"

#include <gmock/gmock.h>

#include "kernels/base/error.h"
#include "serving/core/model_name.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(VersionPolicy, SelectsByNumberNotByText) {
  EXPECT_THAT(select_versions({9, 10, 1}, parse_version_policy("latest")), ElementsAre(10));
  EXPECT_THAT(select_versions({9, 10, 1}, parse_version_policy("latest:2")), ElementsAre(9, 10));
  EXPECT_THAT(select_versions({9, 10, 1}, parse_version_policy("latest:7")), ElementsAre(1, 9, 10));
  EXPECT_THAT(select_versions({9, 10, 1}, parse_version_policy("all")), ElementsAre(1, 9, 10));
  EXPECT_THAT(select_versions({9, 10, 1}, parse_version_policy("10,1,4")), ElementsAre(1, 10));
  EXPECT_THAT(select_versions({}, parse_version_policy("all")), IsEmpty());
}

TEST(VersionPolicy, PrintsWhatItReads) {
  for (const char* text : {"latest:1", "latest:3", "all", "1,3"}) EXPECT_EQ(to_string(parse_version_policy(text)), text);
}

TEST(VersionPolicy, RefusesOtherTexts) {
  for (const char* text : {"", "newest", "latest:", "latest:0", "latest:-1", "1,", ",1", "1,,2", "01", "1.0", "ALL"})
    EXPECT_THROW(parse_version_policy(text), Error) << text;
}

TEST(VersionPolicy, VersionsArePositiveDecimals) {
  EXPECT_EQ(parse_version("1"), 1);
  EXPECT_EQ(parse_version("999999999999999999"), 999999999999999999);
  for (const char* text : {"", "0", "01", "-1", "+1", "1 ", "1a", "v1", "9999999999999999999"})
    EXPECT_EQ(parse_version(text), 0) << text;
}

TEST(ModelName, IsAFolderNameAndAPartOfAUrl) {
  for (const char* name : {"mlp", "resnet-50_v1.5", "a+b=c", "7"}) EXPECT_TRUE(valid_model_name(name)) << name;
  for (const char* name : {"", ".", "..", ".git", "a/b", "a b", "a\\b", "ü", "a%b", "a\n"})
    EXPECT_FALSE(valid_model_name(name)) << name;
  EXPECT_FALSE(valid_model_name(std::string(129, 'a')));
}

}  // namespace
}  // namespace tandem
