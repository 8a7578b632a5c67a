// The message of the InvalidArgument that `call` throws; the test fails if it throws nothing or another code.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/base/error.h"

namespace tandem {

template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace tandem
