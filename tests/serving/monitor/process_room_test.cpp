#include "serving/monitor/process_room.h"

#include <gmock/gmock.h>

#include "kernels/base/error.h"

namespace tandem {
namespace {

TEST(ProcessRoom, WhatThereIsSuffices) { EXPECT_NO_THROW(check_room_for(8, 8)); }

TEST(ProcessRoom, MoreDescriptorsThanAllowedAreRefusedWithWhatToRaise) {
  try {
    check_room_for(1, INT64_MAX);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), testing::HasSubstr("ulimit -n"));
  }
}

}  // namespace
}  // namespace tandem
