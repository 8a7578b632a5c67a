// Labels of versions: what is one, and what may be declared.
#include "serving/core/version_labels.h"

#include <gmock/gmock.h>

#include "kernels/base/error.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(VersionLabels, AreReadFromOneLine) {
  EXPECT_THAT(parse_version_labels("stable=3, canary = 12"), ElementsAre(Pair("canary", 12), Pair("stable", 3)));
  EXPECT_THAT(parse_version_labels(" "), testing::IsEmpty());
  EXPECT_THAT(parse_version_labels("A-b_9=1,"), ElementsAre(Pair("A-b_9", 1)));
}

TEST(VersionLabels, WhatIsNoneIsRefused) {
  for (const char* text : {"stable", "stable=", "stable=x", "stable=0", "stable=-1", "=3", "3=3", "a b=1", "a=1,a=2", "a=1;b=2", "a/b=1", "a=01"})
    EXPECT_THROW(parse_version_labels(text), Error) << text;
}

TEST(VersionLabels, NoLabelIsANumber) {
  EXPECT_TRUE(valid_version_label("stable"));
  for (const char* text : {"", "1", "1a", "-a", "..", "a.b", "a%2f"}) EXPECT_FALSE(valid_version_label(text)) << text;
  EXPECT_FALSE(valid_version_label(std::string(65, 'a')));
}

}  // namespace
}  // namespace tandem
