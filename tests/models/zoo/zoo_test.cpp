#include <gmock/gmock.h>

#include <map>

#include "models/zoo/model_config.h"
#include "tests/models/data/message_of.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

struct Built {
  std::string shape;
  int64_t parameters = 0;
  std::map<std::string, int> ops;
};

Built build(const ModelConfig& config, const Dims& input, int64_t outputs) {
  nn::NetworkBuilder builder(1);
  builder.graph().opsets = {{"", kOnnxOpset}};
  const ValueId scores = append_model(builder, config, builder.graph().add_input("x", DType::kF32, input), outputs);
  Built built;
  built.shape = to_string(builder.dims(scores));
  for (const std::string& name : builder.network().parameters)
    built.parameters += builder.graph().value(builder.graph().find(name)).data.elements();
  for (const Node& node : builder.graph().nodes) ++built.ops[std::string(node.def->name)];
  return built;
}

TEST(Zoo, MlpIsLinearLayersWithReluBetween) {
  Built built = build({.kind = "mlp", .hidden = {7, 3}, .dropout = 0.5f}, {"batch", 10}, 4);
  EXPECT_EQ(built.shape, to_string(Dims{"batch", 4}));
  EXPECT_EQ(built.parameters, 10 * 7 + 7 + 7 * 3 + 3 + 3 * 4 + 4);
  EXPECT_EQ(built.ops["Gemm"], 3);
  EXPECT_EQ(built.ops["Relu"], 2);
  EXPECT_EQ(built.ops["Dropout"], 2);  // not before the first: raw features are not dropped
}

TEST(Zoo, MlpFlattensImages) { EXPECT_EQ(build({.kind = "mlp", .hidden = {}}, {"batch", 1, 4, 4}, 2).parameters, 16 * 2 + 2); }

TEST(Zoo, LogisticIsOneLinearLayer) {
  Built built = build({.kind = "logistic", .hidden = {9}}, {"batch", 2, 3}, 5);
  EXPECT_EQ(built.parameters, 6 * 5 + 5);
  EXPECT_EQ(built.ops["Relu"], 0);
}

TEST(Zoo, CnnIsTheOneOfItsDescription) {
  // MNIST's: 28 -> 26 -> 24 -> pool 12; 64 * 12 * 12 features.
  Built built = build({.kind = "cnn", .hidden = {128}, .channels = {32, 64}, .dropout = 0.25f}, {"batch", 1, 28, 28}, 10);
  EXPECT_EQ(built.shape, to_string(Dims{"batch", 10}));
  EXPECT_EQ(built.parameters, 32 * 9 + 32 + 64 * 32 * 9 + 64 + 9216 * 128 + 128 + 128 * 10 + 10);
  EXPECT_EQ(built.ops["Conv"], 2);
  EXPECT_EQ(built.ops["MaxPool"], 1);
  EXPECT_EQ(
      build({.kind = "cnn", .hidden = {}, .channels = {2}, .padding = 1, .pool = 1, .batch_norm = true}, {"batch", 3, 4, 4}, 2)
          .parameters,
      2 * 3 * 9 + 2 + 2 + 2 + 2 * 16 * 2 + 2);
}

TEST(Zoo, RefusesWhatItCannotBuild) {
  EXPECT_THAT(message_of([] {
                build({.kind = "tree"}, {"batch", 4}, 2);
              }),
              ::testing::AllOf(HasSubstr("tree"), HasSubstr("mlp, cnn, logistic")));
  EXPECT_THAT(message_of([] { build({.kind = "cnn"}, {"batch", 4}, 2); }), HasSubstr("use an mlp for a table"));
  EXPECT_THROW(build({.kind = "cnn", .channels = {4, 4}}, {"batch", 1, 3, 3}, 2), Error);  // the second convolution finds 1x1
}

}  // namespace
}  // namespace tandem
