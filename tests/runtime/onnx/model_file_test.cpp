// Models as files: large weights are read past protobuf, or from a file beside; what comes in must be what protobuf alone would read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "kernels/base/block.h"
#include "runtime/onnx/onnx.h"
#include "tests/runtime/onnx/wire.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using namespace testing;
using ::testing::HasSubstr;

class OnnxModelFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("onnx_model_file_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& bytes) const {
    std::ofstream(folder_ / "model.onnx", std::ios::binary) << bytes;
    return folder_ / "model.onnx";
  }
  // The text of the graph, or of the fault without the file's name.
  template <class Load>
  static std::string outcome(const Load& load) {
    try {
      const Graph graph = load();
      std::string text = to_text(graph);
      for (const Value& value : graph.values)
        if (value.data) text.append(reinterpret_cast<const char*>(value.data.view().data), value.data.bytes());
      return text;
    } catch (const Error& error) {
      const std::string_view what = error.what();
      return std::string(what.starts_with("model.onnx: ") ? what.substr(12) : what);
    }
  }
  void expect_as_in_memory(const std::string& bytes) const {
    const fs::path path = write(bytes);
    EXPECT_EQ(outcome([&] { return load_onnx(path); }), outcome([&] { return parse_onnx(bytes); }));
  }

  fs::path folder_;
};

constexpr int64_t kMany = 5000;  // floats: too large to stay in the message

std::string many_floats(float first = 0) {
  std::vector<float> values(kMany);
  std::iota(values.begin(), values.end(), first);
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}
Wire large(std::string_view name, const std::string& raw = many_floats()) { return tensor_proto(name, 1, {kMany}).text(9, raw); }

TEST_F(OnnxModelFile, LargeWeightsComeAsFromMemory) {
  Wire graph;
  graph.message(kInitializerField, large("a")).message(kInitializerField, f32_tensor("b", {2}, {1, 2}));
  graph.message(kInitializerField, large("c", many_floats(7))).message(kOutputField, value_info("c", 1, {kMany}));
  expect_as_in_memory(model_proto(graph));
  const Graph read = load_onnx(folder_ / "model.onnx");
  EXPECT_EQ(read.value(read.find("c")).data.as<float>()[3], 10);
}

TEST_F(OnnxModelFile, OddButValidFilesComeAsFromMemory) {
  const Wire graph = Wire().message(kInitializerField, large("a")), more = Wire().message(kInitializerField, large("b", many_floats(1)));
  expect_as_in_memory(Wire().message(7, graph).number(1, 8).message(7, more).message(8, Wire().text(1, "").number(2, 13)).bytes());  // graphs are merged
  expect_as_in_memory(model_proto(Wire().message(kInitializerField, large("a", "short").text(9, many_floats()))));  // the last raw_data counts
  expect_as_in_memory(model_proto(Wire().message(kInitializerField, large("a").text(99, "unknown").number(98, -1).f64(97, 1))));
}

TEST_F(OnnxModelFile, FaultsAreTheSameAsInMemory) {
  expect_as_in_memory(model_proto(Wire().message(kInitializerField, large("a", many_floats() + "1234"))));        // too long
  expect_as_in_memory(model_proto(Wire().message(kInitializerField, large("a").f32(4, 1))));                      // two forms
  expect_as_in_memory(model_proto(Wire().message(kInitializerField, tensor_proto("s", 8, {kMany}).text(9, many_floats()))));  // strings
  expect_as_in_memory(model_proto(Wire().message(kInitializerField, large("a").number(14, 1))));                  // external as well
  expect_as_in_memory("");
  expect_as_in_memory("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

TEST_F(OnnxModelFile, EveryKindOfTruncationIsTheSameAsInMemory) {
  const std::string model = model_proto(Wire().message(kInitializerField, large("a")).message(kInitializerField, f32_tensor("b", {2}, {1, 2})));
  for (size_t length = 0; length < model.size(); length += length > 64 && length + 99 < model.size() ? 97 : 1)
    expect_as_in_memory(model.substr(0, length));
}

TEST_F(OnnxModelFile, MapsWeightsBesideTheModel) {
  Graph graph;
  graph.opsets = {{"", 17}};
  const Tensor weights = Tensor::unfilled(DType::kF32, {300, 100});
  std::ranges::fill(Tensor(weights).as<float>(), 2.5f);
  graph.outputs = {graph.add_constant("w", weights), graph.add_constant("few", Tensor::of<float>({2}, {1, 2})),
                   graph.add_constant("b", Tensor(DType::kBool, {100'000}))};
  save_onnx(graph, folder_ / "model.onnx", 17, ExternalData::kAlways);
  EXPECT_LT(fs::file_size(folder_ / "model.onnx"), 4096u);
  EXPECT_EQ(fs::file_size(folder_ / "model.onnx.data"), 122'880u + 100'000u);  // at multiples of a page
  for (Weights how : {Weights::kCopied, Weights::kMapped}) {
    Graph again = load_onnx(folder_ / "model.onnx", {}, {}, how);
    EXPECT_EQ(outcome([&] { return again; }), outcome([&] { return graph; }));
    again = Graph();  // the last handles go
  }
  save_onnx(graph, folder_ / "model.onnx", 17, ExternalData::kAlways);  // in place of itself
  EXPECT_EQ(outcome([&] { return load_onnx(folder_ / "model.onnx"); }), outcome([&] { return graph; }));
}

// Where a tensor begins in a model's own file is chance: at a multiple of an element it is mapped, and lies in its page as it does in the file.
TEST_F(OnnxModelFile, MapsWeightsInsideTheModelThatAreAligned) {
  constexpr int64_t kLarge = 20'000;
  Wire graph;
  std::vector<std::string> raws;
  for (int i = 0; i < 8; ++i) {
    std::vector<float> values(kLarge);
    std::iota(values.begin(), values.end(), static_cast<float>(kLarge * i));
    raws.emplace_back(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    graph.message(kInitializerField, tensor_proto(std::string(static_cast<size_t>(i + 1), 'w'), 1, {kLarge}).text(9, raws.back()));
  }
  const std::string bytes = model_proto(graph);
  const fs::path path = write(bytes);
  const Graph mapped = load_onnx(path, {}, {}, Weights::kMapped), copied = load_onnx(path);
  const bool from_system = is_whole_pages(kWholePages);  // not under AddressSanitizer: there, a copy begins anywhere
  int aligned = 0;
  for (size_t i = 0; i < raws.size(); ++i) {
    const size_t offset = bytes.find(raws[i]);
    const ValueId id = mapped.find(std::string(i + 1, 'w'));
    const auto address = reinterpret_cast<uintptr_t>(mapped.value(id).data.view().data);
    aligned += offset % 4 == 0;
    EXPECT_EQ(address % sizeof(float), 0u) << offset;
    if (offset % 4 == 0) {
      EXPECT_EQ(address % 4096, offset % 4096);
    } else if (from_system) {
      EXPECT_EQ(address % 4096, 0u) << offset;
    }
    EXPECT_TRUE(identical(mapped.value(id).data, copied.value(id).data));
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(mapped.value(id).data.view().data), raws[i].size()), raws[i]);
  }
  EXPECT_GT(aligned, 0);
  EXPECT_LT(aligned, 8);
}

TEST_F(OnnxModelFile, ReplacedByARenameWhileMapped) {
  Graph graph;
  graph.opsets = {{"", 17}};
  graph.outputs = {graph.add_constant("w", Tensor(DType::kF32, {100'000}))};
  save_onnx(graph, folder_ / "model.onnx", 17, ExternalData::kAlways);
  const Graph mapped = load_onnx(folder_ / "model.onnx", {}, {}, Weights::kMapped);
  Graph other = mapped;
  other.value(0).data = Tensor::of<float>({1}, {1});
  save_onnx(other, folder_ / "model.onnx", 17, ExternalData::kAlways);
  EXPECT_TRUE(identical(mapped.value(0).data, graph.value(0).data));  // the old file lives as long as it is mapped
}

TEST_F(OnnxModelFile, RefusesWhatIsOverProtobufsLimitWithoutAFileForWeights) {
  Graph graph;
  graph.opsets = {{"", 17}};
  const ConstTensorView huge{nullptr, DType::kU8, {int64_t{3} << 30}};
  graph.outputs = {graph.add_constant("w", Tensor::borrow(huge))};
  EXPECT_THROW(serialize_onnx(graph), Error);
}

}  // namespace
}  // namespace tandem
