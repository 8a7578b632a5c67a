#include "models/nn/feature_encoder.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "runtime/train/trainer.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::FloatNear;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// The features of these rows, [rows * columns].
std::vector<float> encode(const FeatureSpec& spec, const Feed& feed) {
  nn::NetworkBuilder builder(0);
  Graph& graph = builder.graph();
  graph.opsets = {{"", kOnnxOpset}, {"ai.onnx.ml", kOnnxMlOpset}};
  graph.outputs = {nn::encode_features(builder, spec)};
  Executor executor(make_plan(graph, {.threads = 1, .bounds = {}, .default_bound = 8}));
  const auto values = run_feed(executor, feed)[0].as<float>();
  return {values.begin(), values.end()};
}

Tensor text(std::vector<std::string> cells) {
  const auto rows = static_cast<int64_t>(cells.size());
  return Tensor::strings({rows, 1}, std::span<const std::string>(cells));
}

TEST(FeatureEncoder, FillsThenScalesNumbers) {
  const FeatureSpec spec{.numeric = {{.name = "age", .fill = 40, .mean = 30, .deviation = 10}}, .text = {}};
  const auto features = encode(spec, {{"age", Tensor::of<float>({4, 1}, {50, 25, kMissing, 30})}});
  EXPECT_THAT(features, ElementsAre(FloatEq(2), FloatEq(-0.5), FloatEq(1), FloatEq(0)));
}

TEST(FeatureEncoder, TakesTheLogarithmBehindTheFillAndBeforeTheScale) {
  const FeatureSpec spec{.numeric = {{.name = "gain", .log1p = true, .fill = 99, .mean = 1, .deviation = 2}}, .text = {}};
  const auto features = encode(spec, {{"gain", Tensor::of<float>({3, 1}, {0, 999, kMissing})}});
  EXPECT_THAT(features, ElementsAre(FloatNear(-0.5f, 1e-6f), FloatNear(static_cast<float>((std::log(1000.0) - 1) / 2), 1e-5f),
                                    FloatNear(static_cast<float>((std::log(100.0) - 1) / 2), 1e-5f)));
}

TEST(FeatureEncoder, GivesCategoriesMissingAndUnknown) {
  const FeatureSpec spec{
      .numeric = {},
      .text = {{.name = "job", .categories = {"a", "b"}, .counts = {3, 2}, .missing_texts = {"", "?"}, .missing = 1}}};
  const auto features = encode(spec, {{"job", text({"b", "?", "", "never seen", "a"})}});
  EXPECT_THAT(features, ElementsAre(0, 1, 0,  //
                                    0, 0, 1,  //
                                    0, 0, 1,  //
                                    0, 0, 0,  // unknown is no category at all
                                    1, 0, 0));
}

TEST(FeatureEncoder, HasNoColumnForAMissingTextThatTrainingNeverSaw) {
  const FeatureSpec spec{.numeric = {},
                         .text = {{.name = "job", .categories = {"a", "b"}, .counts = {3, 2}, .missing_texts = {"", "?"}}}};
  EXPECT_THAT(encode(spec, {{"job", text({"b", "?", "a"})}}), ElementsAre(0, 1, 0, 0, 1, 0));
}

TEST(FeatureEncoder, PutsNumbersBeforeTextAndKeepsTheOrderOfEach) {
  const FeatureSpec spec{.numeric = {{.name = "x", .mean = 1, .deviation = 1}, {.name = "y", .mean = 0, .deviation = 0.5}},
                         .text = {{.name = "t", .categories = {"u"}, .counts = {1}, .missing_texts = {""}},
                                  {.name = "s", .categories = {"v", "w"}, .counts = {1, 1}, .missing_texts = {""}}}};
  const Feed feed{{"x", Tensor::of<float>({2, 1}, {1, 2})},
                  {"y", Tensor::of<float>({2, 1}, {3, 4})},
                  {"t", text({"u", "-"})},
                  {"s", text({"w", "v"})}};
  EXPECT_THAT(encode(spec, feed), ElementsAre(0, 6, 1, 0, 1, 1, 8, 0, 1, 0));
}

TEST(FeatureEncoder, NeedsAColumn) {
  nn::NetworkBuilder builder(0);
  EXPECT_THROW(nn::encode_features(builder, {}), Error);
}

}  // namespace
}  // namespace tandem
