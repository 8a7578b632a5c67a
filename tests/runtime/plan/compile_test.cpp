// Packed weights in compiled models: plans take them from the file, whatever is wrong with them is seen or only makes wrong numbers, and who cannot
// use them packs the plain weights.
#include "runtime/plan/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "kernels/base/block.h"
#include "runtime/exec/executor.h"
#include "runtime/io/file.h"
#include "runtime/model/compiled_header.h"
#include "runtime/model/compiled_model.h"
#include "runtime/model/open_model.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using testing::add;
using ::testing::HasSubstr;

constexpr int64_t kDepth = 512, kColumns = 640;  // 1.25 MiB of weights: panels of whole pages, which are mapped

// Numbers from -50 to 50 times `scale`, without a period.
Tensor scattered(const Shape& shape, float scale) {
  Tensor tensor(DType::kF32, shape);
  auto state = static_cast<uint32_t>(shape.elements());
  for (float& v : tensor.as<float>()) v = scale * (static_cast<float>((state = state * 1664525 + 1013904223) >> 8) / 167772.16f - 50);
  return tensor;
}

// A large matrix, a small one in the other orientation, and a convolution.
Graph network() {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", kDepth}), image = graph.add_input("image", DType::kF32, {"batch", 4, 6, 6});
  const ValueId h = add(graph, "MatMul", {x, graph.add_constant("large", scattered({kDepth, kColumns}, 0.01f))});
  const ValueId y = add(graph, "Gemm", {h, graph.add_constant("small", scattered({24, kColumns}, 0.01f))}, {{"transB", int64_t{1}}});
  graph.outputs = {y, add(graph, "Conv", {image, graph.add_constant("filters", scattered({8, 4, 3, 3}, 0.1f))})};
  return graph;
}

class Compile : public ::testing::Test {
 protected:
  Compile() : path_(fs::path(::testing::TempDir()) / ("compile_" + std::to_string(::getpid()) + ".tdm")) {
    graph_ = network();
    run_passes(graph_);
    report_ = compile(graph_, {.default_bound = 2}, path_, "model.onnx");
  }
  ~Compile() override { fs::remove(path_); }

  std::string bytes() const { return read_file(path_, 1 << 24); }
  CompiledHeader header() const {
    CompiledHeader header;
    std::memcpy(&header, bytes().data(), sizeof(header));
    return header;
  }
  void write_header(const CompiledHeader& header) { write_file(path_, to_bytes(header) + bytes().substr(256)); }
  // Changes the numbers that begin with those of `like`, somewhere in the middle; all places where they are.
  int damage(std::span<const std::byte> like) {
    std::string content = bytes();
    const std::string_view wanted(reinterpret_cast<const char*>(like.data()), 1024);  // rows of a panel are shorter
    int places = 0;
    for (size_t at = content.find(wanted); at != std::string::npos; at = content.find(wanted, at + 1), ++places)
      content[at + like.size() / 2 + 2] ^= 0x10;
    write_file(path_, content);
    return places;
  }

  struct Opened {
    std::vector<Tensor> outputs;
    PanelCounts counts;
  };
  static std::vector<Tensor> outputs_of(std::shared_ptr<const Plan> plan) {
    Executor executor(std::move(plan));
    const Tensor x = scattered({2, kDepth}, 0.02f), image = scattered({2, 4, 6, 6}, 0.1f);
    const std::vector<ConstTensorView> inputs = {x.view(), image.view()};
    std::vector<Tensor> outputs;
    for (const ConstTensorView& view : executor.run(inputs)) outputs.push_back(Tensor::copy_of(view));
    return outputs;
  }
  std::vector<Tensor> expected(PlanOptions options = {.default_bound = 2}) const { return outputs_of(make_plan(graph_, options)); }
  Opened open(Weights weights, PlanOptions options = {.default_bound = 2}) const {
    OpenedModel model = open_model(path_, {.weights = weights});
    options.packs = model.packs;
    const auto plan = make_plan(std::move(model.graph), options);
    return {outputs_of(plan), model.panels->counts()};
  }
  static void expect_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(identical(a[i], b[i])) << "output " << i;
  }

  fs::path path_;
  Graph graph_;
  CompileReport report_;
};

TEST_F(Compile, APlanTakesAllPanelsFromTheFile) {
  EXPECT_EQ(report_.panels, 3);
  EXPECT_EQ(report_.without_panels, "");
  for (Weights weights : {Weights::kMapped, Weights::kCopied}) {
    const Opened opened = open(weights);
    EXPECT_EQ(opened.counts.kept, 3);
    EXPECT_EQ(opened.counts.packed, 0);
    expect_same(opened.outputs, expected());
  }
}

TEST_F(Compile, AnotherPlanOfTheModelSharesThem) {
  OpenedModel model = open_model(path_);
  const auto first = make_plan(model.graph, {.default_bound = 2, .packs = model.packs});
  const auto second = make_plan(model.graph, {.default_bound = 7, .packs = model.packs});
  EXPECT_EQ(model.panels->counts().kept, 3);
  EXPECT_EQ(first->packs->bytes(), second->packs->bytes());
}

// Opening does not even look at them: here they are others than those that were packed.
TEST_F(Compile, PlainWeightsOfPanelsAreNotRead) {
  const Tensor& large = graph_.value(graph_.find("large")).data;
  ASSERT_EQ(damage({large.view().data, large.bytes()}), 1);
  const Opened opened = open(Weights::kMapped);
  expect_same(opened.outputs, expected());
  EXPECT_THROW(open(Weights::kCopied), Error);
  EXPECT_THROW(check_compiled(open_regular(path_), path_), Error);
}

// Mapped ones are checked by who asks for it; those that are read always are.
TEST_F(Compile, DamagedPanelsAreSeenOrGiveOtherNumbers) {
  const CompiledContents contents = check_compiled(open_regular(path_), path_);
  EXPECT_TRUE(contents.panels_fit);
  EXPECT_EQ(contents.panels, 3);
  EXPECT_EQ(contents.panel_bytes, report_.panel_bytes);
  EXPECT_EQ(contents.source, "model.onnx");
  EXPECT_EQ(contents.file_bytes, static_cast<int64_t>(fs::file_size(path_)));

  const auto recorder_packs = std::make_shared<PackedConstants>();
  const auto recorder = record_panels(graph_, *recorder_packs);
  make_plan(graph_, {.default_bound = 2, .packs = recorder_packs});
  for (const PanelForm& form : recorder->forms()) {
    const std::string whole = bytes();
    EXPECT_GE(damage(form.panels), 1) << form.constant;
    EXPECT_THROW(check_compiled(open_regular(path_), path_), Error);
    EXPECT_THROW(open(Weights::kCopied), Error) << form.constant;
    if (is_whole_pages(form.panels.size())) {  // under AddressSanitizer none is: nothing can be mapped over it, so it is read, and seen
      EXPECT_EQ(form.constant, "large");
      EXPECT_FALSE(identical(open(Weights::kMapped).outputs[0], expected()[0]));
    } else {
      EXPECT_THROW(open(Weights::kMapped), Error) << form.constant;
    }
    write_file(path_, whole);
  }
}

TEST_F(Compile, AnotherBuildPacksThePlainWeights) {
  CompiledHeader other = header();
  other.build[0] = other.build[0] == 'f' ? 'e' : 'f';
  write_header(other);
  const Opened opened = open(Weights::kMapped);
  EXPECT_EQ(opened.counts.kept, 0);
  expect_same(opened.outputs, expected());
  EXPECT_FALSE(check_compiled(open_regular(path_), path_).panels_fit);
}

TEST_F(Compile, AnotherPrecisionPacksThePlainWeights) {
  const PlanOptions bf16{.default_bound = 2, .precision = DType::kBF16};
  const Opened opened = open(Weights::kMapped, bf16);
  EXPECT_GT(opened.counts.packed, 0);
  expect_same(opened.outputs, expected(bf16));
}

TEST_F(Compile, PanelsOfThatPrecisionAreKeptToo) {
  const PlanOptions bf16{.default_bound = 2, .precision = DType::kBF16};
  compile(graph_, bf16, path_, "model.onnx");
  const Opened opened = open(Weights::kMapped, bf16);
  EXPECT_GT(opened.counts.kept, 0);
  EXPECT_EQ(opened.counts.packed, 0);
  expect_same(opened.outputs, expected(bf16));
}

// As a stranger could list them: of another size, of another constant.
TEST_F(Compile, PanelsThatDoNotFitAreNotTaken) {
  const auto packs = std::make_shared<PackedConstants>();
  const auto recorder = record_panels(graph_, *packs);
  make_plan(graph_, {.default_bound = 2, .packs = packs});
  std::vector<PanelForm> forms = recorder->forms();
  for (PanelForm& form : forms) form.panels = form.panels.first(form.panels.size() - 64);
  save_compiled(graph_, path_, "model.onnx", forms);
  const Opened opened = open(Weights::kMapped);
  EXPECT_EQ(opened.counts.kept, 0);
  EXPECT_EQ(opened.counts.packed, 3);
  expect_same(opened.outputs, expected());

  forms[0].constant = "nobody";
  save_compiled(graph_, path_, "model.onnx", forms);
  EXPECT_THROW(open(Weights::kMapped), Error);
  forms[0] = forms[1];
  save_compiled(graph_, path_, "model.onnx", forms);
  EXPECT_THROW(open(Weights::kMapped), Error);
}

TEST_F(Compile, EveryTruncationIsRefused) {
  const std::string whole = bytes();
  for (size_t length = 64; length < whole.size(); length += (100 << 10) - 64) {
    write_file(path_, whole.substr(0, length));
    for (Weights weights : {Weights::kMapped, Weights::kCopied}) EXPECT_THROW(open(weights), Error) << length;
  }
}

TEST_F(Compile, AGraphThatNoPlanTakesIsKeptWithoutPanels) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, "depth"});
  graph.outputs = {add(graph, "MatMul", {x, graph.add_constant("w", scattered({4, 4}, 1))})};
  const CompileReport report = compile(graph, {.bounds = {{"depth", 5}}}, path_, "model.onnx");
  EXPECT_EQ(report.panels, 0);
  EXPECT_THAT(report.without_panels, HasSubstr("MatMul"));
  EXPECT_EQ(open_model(path_).graph.nodes.size(), 1u);
}

}  // namespace
}  // namespace tandem
