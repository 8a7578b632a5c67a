// A checkpoint that was cut, altered or made for another job is refused, and the states stay as they were.
#include "runtime/train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>


#include "runtime/io/file.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  // Tests run at the same time: each has a file of its own.
  const std::filesystem::path path_ = std::filesystem::path(::testing::TempDir()) /
                                      (std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) + "." +
                                       std::to_string(getpid()) + ".ckpt");

  void TearDown() override { std::filesystem::remove(path_); }

  static StateStore job(float value) {
    StateStore states;
    states.get_or_add("w", Tensor::of<float>({2, 2}, {value, 2, 3, 4}));
    states.get_or_add("step", Tensor::scalar<int64_t>(7));
    return states;
  }

  std::string refusal(StateStore& states) {
    try {
      load_checkpoint(path_, states);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
      return error.what();
    }
    return "loaded";
  }
};

TEST_F(CheckpointTest, RoundTrips) {
  StateStore saved = job(1.5f), loaded = job(0);
  save_checkpoint(path_, saved, {{"epoch", "2"}});
  EXPECT_EQ(load_checkpoint(path_, loaded).at("epoch"), "2");
  EXPECT_EQ(loaded.find("w")->as<float>()[0], 1.5f);
}

TEST_F(CheckpointTest, CutAtEveryLengthOrFlippedAtEveryByteIsRefused) {
  StateStore saved = job(1.5f);
  save_checkpoint(path_, saved, {});
  const std::string whole = read_file(path_, 1 << 20);
  StateStore states = job(0);
  for (size_t length = 0; length < whole.size(); ++length) {
    write_file(path_, std::string_view(whole).substr(0, length));
    EXPECT_NE(refusal(states), "loaded") << "cut to " << length;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string altered = whole;
    altered[at] = static_cast<char>(altered[at] ^ 0x10);
    write_file(path_, altered);
    EXPECT_NE(refusal(states), "loaded") << "altered at " << at;
  }
  EXPECT_EQ(states.find("step")->as<int64_t>()[0], 7);
}

TEST_F(CheckpointTest, OfAnotherJobIsRefused) {
  StateStore saved = job(1), other;
  save_checkpoint(path_, saved, {});
  other.get_or_add("w", Tensor::of<float>({2, 2}, {0, 0, 0, 0}));
  EXPECT_THAT(refusal(other), HasSubstr("a state this job does not have: step"));
  other.get_or_add("step", Tensor::scalar<int64_t>(0));
  other.get_or_add("more", Tensor::scalar<int64_t>(0));
  EXPECT_THAT(refusal(other), HasSubstr("lacks states"));
}

TEST_F(CheckpointTest, AMissingFileIsNotFound) {
  StateStore states = job(0);
  try {
    load_checkpoint("no/such/checkpoint", states);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  }
}

}  // namespace
}  // namespace tandem
