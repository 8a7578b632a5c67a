// Data beside the model: what is read, and everything that must not be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runtime/onnx/onnx.h"
#include "tests/runtime/onnx/wire.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using namespace testing;
using ::testing::HasSubstr;

class OnnxExternalData : public ::testing::Test {
 protected:
  void SetUp() override {
    outer_ = fs::path(::testing::TempDir()) / ("onnx_external_" + std::to_string(::getpid()));
    folder_ = outer_ / "model";
    fs::create_directories(folder_ / "sub");
    write(folder_ / "weights.bin", floats({9, 1, 2, 9}));
    write(folder_ / "sub" / "weights.bin", floats({3, 4}));
    write(outer_ / "secret.bin", floats({6, 6}));
  }
  void TearDown() override { fs::remove_all(outer_); }

  static void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  static std::string floats(std::initializer_list<float> values) {
    return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
  }

  // A tensor f32[2] that lies outside of the model.
  static std::string model(std::string_view location, std::string_view offset = "", std::string_view length = "") {
    Wire tensor = tensor_proto("w", 1, {2});
    const auto entry = [&](std::string_view key, std::string_view value) {
      tensor.message(13, Wire().text(1, key).text(2, value));
    };
    if (!location.empty()) entry("location", location);
    if (!offset.empty()) entry("offset", offset);
    if (!length.empty()) entry("length", length);
    return model_proto(Wire().message(kInitializerField, tensor.number(14, 1)));
  }
  Tensor read(const std::string& bytes) const { return parse_onnx(bytes, folder_).values.at(0).data; }
  std::string fault(const std::string& bytes) const {
    try {
      read(bytes);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  fs::path outer_, folder_;
};

TEST_F(OnnxExternalData, ReadsTheRangeItIsGiven) {
  EXPECT_TRUE(identical(read(model("weights.bin", "4", "8")), Tensor::of<float>({2}, {1, 2})));
  EXPECT_TRUE(identical(read(model("weights.bin", "8")), Tensor::of<float>({2}, {2, 9})));
  EXPECT_TRUE(identical(read(model("sub/weights.bin")), Tensor::of<float>({2}, {3, 4})));
}

TEST_F(OnnxExternalData, IsFoundBesideTheModelFile) {
  write(folder_ / "model.onnx", model("weights.bin", "4"));
  EXPECT_TRUE(identical(load_onnx(folder_ / "model.onnx").values.at(0).data, Tensor::of<float>({2}, {1, 2})));
  EXPECT_THROW(parse_onnx(model("weights.bin")), Error);
}

TEST_F(OnnxExternalData, RefusesRangesOutsideTheFile) {
  EXPECT_THAT(fault(model("weights.bin", "12")), HasSubstr("past the end"));
  EXPECT_THAT(fault(model("weights.bin", "9223372036854775807")), HasSubstr("overflow"));
  EXPECT_THAT(fault(model("weights.bin", "-4")), HasSubstr("not a size"));
  EXPECT_THAT(fault(model("weights.bin", "4x")), HasSubstr("not a size"));
  EXPECT_THAT(fault(model("weights.bin", "99999999999999999999")), HasSubstr("not a size"));
  EXPECT_THAT(fault(model("weights.bin", "0", "4")), HasSubstr("length"));
  EXPECT_THAT(fault(model("weights.bin", "0", "16")), HasSubstr("length"));
  EXPECT_THAT(fault(model("")), HasSubstr("location"));
}

TEST_F(OnnxExternalData, StaysBeneathTheFolder) {
  const std::string outside = (outer_ / "secret.bin").string();
  for (const std::string& location : {std::string("../secret.bin"), std::string("sub/../../secret.bin"), outside,
                                      std::string("./.././secret.bin"), std::string("missing.bin"), std::string("/dev/zero")})
    EXPECT_NE(fault(model(location)), "") << location;
  EXPECT_NE(fault(model(std::string_view("weights.bin\0.txt", 16))), "");
}

TEST_F(OnnxExternalData, RefusesLinksAndSpecialFiles) {
  fs::create_symlink(outer_ / "secret.bin", folder_ / "link.bin");
  fs::create_directory_symlink(outer_, folder_ / "up");
  fs::create_hard_link(outer_ / "secret.bin", folder_ / "hard.bin");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  for (const char* location : {"link.bin", "up/secret.bin", "hard.bin", "pipe", "sub"})
    EXPECT_NE(fault(model(location)), "") << location;
}

}  // namespace
}  // namespace tandem
