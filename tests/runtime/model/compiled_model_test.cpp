// Compiled models: what was kept comes back and computes the same; whatever else a file holds is refused.
#include "runtime/model/compiled_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "runtime/io/file.h"
#include "runtime/model/checksum.h"
#include "runtime/model/compiled_header.h"
#include "runtime/model/open_model.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Something of everything: two outputs of one node, an absent input, each kind of attribute, text, a body with what it takes from outside.
Graph sample() {
  Graph graph;
  graph.opsets = {{"", 17}};
  graph.metadata = {{"author", "somebody"}};
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4}), flag = graph.add_input("flag", DType::kBool, {});
  const ValueId w = graph.add_constant("w", Tensor::of<float>({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
  const ValueId h = graph.add_node(newest_op("FusedMatMul", "tandem"), {x, w}, 1, {{"activation", "Relu"}})[0];
  const ValueId most = graph.add_constant("most", Tensor::scalar<float>(6));
  const ValueId clipped = graph.add_node(find_op("", "Clip", 17), {h, kNoValue, most}, 1)[0];
  const auto parts = graph.add_node(find_op("", "Split", 17), {clipped}, 2, {{"axis", int64_t{1}}});

  Graph body;
  body.opsets = graph.opsets;
  const ValueId outer = body.add_input("outer", DType::kF32, {"batch", 1});
  body.captured_inputs = 1;
  body.outputs = body.add_node(find_op("", "Neg", 17), {outer}, 1);
  Graph other = body;
  other.nodes.clear();
  other.outputs = other.add_node(find_op("", "Exp", 17), {outer}, 1, {}, "other");
  const Attributes branches = {{"then_branch", std::make_shared<const Graph>(body)}, {"else_branch", std::make_shared<const Graph>(other)}};
  const ValueId chosen = graph.add_node(find_op("", "If", 17), {flag, parts[0], parts[0]}, 1, branches)[0];
  const ValueId text = graph.add_constant("text", Tensor::strings({2}, std::vector<std::string>{"a", "bc"}));
  graph.outputs = {chosen, parts[1], text};
  return graph;
}

class CompiledModel : public ::testing::Test {
 protected:
  CompiledModel() : path_(fs::path(::testing::TempDir()) / ("compiled_" + std::to_string(::getpid()) + ".tdm")) {}
  ~CompiledModel() override { fs::remove(path_); }

  std::string bytes() const { return read_file(path_, 1 << 20); }
  // From here on load() and fault() see this, which never was on a disk: there are thousands of them.
  void write(std::string content) { content_ = std::move(content); }
  Graph load(Weights weights = Weights::kCopied) const {
    FileDescriptor file(::memfd_create("compiled", 0));
    EXPECT_EQ(::write(file.get(), content_.data(), content_.size()), static_cast<ssize_t>(content_.size()));
    PackedConstants packs;
    return load_compiled(std::move(file), path_, packs, {}, weights).graph;
  }
  std::string fault(Weights weights = Weights::kCopied) const {
    try {
      load(weights);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
      return error.what();
    }
  }
  // Puts the checksums of header and text right, as somebody would who means harm.
  static void sign(std::string& content) {
    CompiledHeader header;
    std::memcpy(&header, content.data(), sizeof(header));
    const auto text = std::as_bytes(std::span(content)).subspan(256);
    const uint64_t size = text.size(), source = header.source_bytes, record = header.record_bytes, list = header.list_bytes;
    if (source <= size && record <= size - source && list <= size - source - record)
      header.text_checksum = checksum(text.first(source + record + list));
    content.replace(0, 256, to_bytes(header));
  }

  fs::path path_;
  std::string content_;
};

TEST_F(CompiledModel, ComesBackAsItWas) {
  const Graph graph = sample();
  save_compiled(graph, path_, "model.onnx");
  for (Weights weights : {Weights::kCopied, Weights::kMapped}) {
    const OpenedModel again = open_model(path_, {.weights = weights});
    EXPECT_EQ(to_text(again.graph), to_text(graph));
    EXPECT_TRUE(again.reports.empty());
    EXPECT_EQ(again.graph.metadata, graph.metadata);
    EXPECT_TRUE(identical(again.graph.value(again.graph.find("w")).data, graph.value(graph.find("w")).data));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(again.graph.value(again.graph.find("w")).data.view().data) % 64, 0u);
  }
}

TEST_F(CompiledModel, TheSameGraphGivesTheSameBytes) {
  save_compiled(sample(), path_, "model.onnx");
  const std::string first = bytes();
  PackedConstants packs;
  save_compiled(load_compiled(open_regular(path_), path_, packs).graph, path_, "model.onnx");
  EXPECT_EQ(bytes(), first);
}

TEST_F(CompiledModel, EveryFlippedByteIsSeenOrChangesNothing) {
  save_compiled(sample(), path_, "model.onnx");
  const std::string whole = bytes(), text = to_text(sample());
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
    write(damaged);
    const bool padding = (i >= sizeof(CompiledHeader) && i < 256) || fault().empty();
    if (!padding) continue;
    EXPECT_EQ(to_text(load()), text) << i;
    if (i >= sizeof(CompiledHeader)) continue;
    ADD_FAILURE() << "a flip in the header was not seen: " << i;
  }
}

TEST_F(CompiledModel, EveryTruncationIsRefused) {
  save_compiled(sample(), path_, "model.onnx");
  const std::string whole = bytes();
  for (size_t length = 8; length < whole.size(); ++length) {
    write(whole.substr(0, length));
    EXPECT_NE(fault(length % 2 ? Weights::kCopied : Weights::kMapped), "") << length;
  }
}

// Whoever can compute checksums gets no further than a graph that verifies.
TEST_F(CompiledModel, SignedDamageNeverCrashes) {
  save_compiled(sample(), path_, "model.onnx");
  const std::string whole = bytes();
  int refused = 0;
  for (size_t i = 64; i < whole.size(); ++i)
    for (int flip : {1, 0x7f, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      sign(damaged);
      write(damaged);
      refused += !fault().empty();
    }
  EXPECT_GT(refused, 500);
}

TEST_F(CompiledModel, AnotherVersionIsToldHowToBeMadeAnew) {
  save_compiled(sample(), path_, "some/model.onnx");
  std::string other = bytes();
  other[16] = '9';
  sign(other);
  write(other);
  EXPECT_THAT(fault(), HasSubstr("tandem compile model.onnx"));
  std::string isa = bytes();
  isa[16] = other[16];
  isa[48] = 'x';
  sign(isa);
  write(isa);
  EXPECT_THAT(fault(), HasSubstr("compiled by Tandem"));
}

TEST_F(CompiledModel, StatesAndOpsThatStandForMemoryAreRefused) {
  Graph graph;
  const ValueId state = graph.add_state("s", Tensor::scalar<float>(1));
  graph.outputs = {state};
  EXPECT_THROW(save_compiled(graph, path_, ""), Error);
}

TEST_F(CompiledModel, PassesCannotBeLeftOutAfterwards) {
  save_compiled(sample(), path_, "model.onnx");
  EXPECT_THROW(open_model(path_, {.passes = {.disabled = {"dead_code"}}}), Error);
}

TEST(Checksum, SeesEveryBitAndTheLength) {
  for (size_t size : {0, 1, 63, 64, 65, 200}) {
    std::vector<std::byte> bytes(size);
    const uint64_t sum = checksum(bytes);
    for (size_t bit = 0; bit < size * 8; ++bit) {
      bytes[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
      EXPECT_NE(checksum(bytes), sum);
      bytes[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    }
    bytes.push_back(std::byte{0});
    EXPECT_NE(checksum(bytes), sum);
  }
}

}  // namespace
}  // namespace tandem
