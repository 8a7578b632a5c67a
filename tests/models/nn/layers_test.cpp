#include "models/nn/layers.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

namespace tandem {
namespace {

using ::testing::ElementsAre;

nn::NetworkBuilder builder_with_input(uint64_t seed, const Dims& dims, ValueId& x) {
  nn::NetworkBuilder builder(seed);
  builder.graph().opsets = {{"", kOnnxOpset}};
  x = builder.graph().add_input("x", DType::kF32, dims);
  return builder;
}

std::vector<float> values_of(const nn::NetworkBuilder& builder, const std::string& name) {
  Graph graph = const_cast<nn::NetworkBuilder&>(builder).graph();
  const auto values = std::as_const(graph.value(graph.find(name)).data).as<float>();
  return {values.begin(), values.end()};
}

TEST(Layers, LinearBeginsKaimingUniformWithoutBias) {
  ValueId x;
  nn::NetworkBuilder builder = builder_with_input(7, {"batch", 600}, x);
  const ValueId y = nn::linear(builder, x, 50, "fc");
  EXPECT_EQ(to_string(builder.dims(y)), to_string(Dims{"batch", 50}));
  EXPECT_THAT(builder.network().parameters, ElementsAre("fc.weight", "fc.bias"));
  const std::vector<float> weights = values_of(builder, "fc.weight");
  ASSERT_EQ(weights.size(), 30000u);
  // Uniform in [-b, b] has the variance b^2 / 3; He et al. ask for 2 / fan_in.
  double sum = 0, squares = 0;
  for (float w : weights) sum += static_cast<double>(w), squares += static_cast<double>(w) * static_cast<double>(w);
  EXPECT_NEAR(sum / 30000, 0, 4 * std::sqrt(2.0 / 600 / 30000));
  EXPECT_NEAR(squares / 30000, 2.0 / 600, 0.03 * 2 / 600);
  EXPECT_LE(*std::max_element(weights.begin(), weights.end()), std::sqrt(6.0f / 600));
  EXPECT_THAT(values_of(builder, "fc.bias"), ::testing::Each(0.0f));
}

TEST(Layers, TheSeedAndTheIndexDecideTheStartValues) {
  const auto weights = [](uint64_t seed, const std::string& layer) {
    ValueId x;
    nn::NetworkBuilder builder = builder_with_input(seed, {"batch", 5}, x);
    nn::linear(builder, nn::linear(builder, x, 5, "a"), 5, "b");
    return values_of(builder, layer + ".weight");
  };
  EXPECT_EQ(weights(1, "a"), weights(1, "a"));
  EXPECT_NE(weights(1, "a"), weights(2, "a"));
  EXPECT_NE(weights(1, "a"), weights(1, "b"));
}

TEST(Layers, ConvolutionAndPoolingGiveTheShapesOfTheirDefinition) {
  ValueId x;
  nn::NetworkBuilder builder = builder_with_input(0, {"batch", 3, 9, 8}, x);
  ValueId y = nn::conv2d(builder, x, {.channels = 4, .kernel = 3, .stride = 2, .padding = 1}, "conv");
  EXPECT_EQ(to_string(builder.dims(y)), to_string(Dims{"batch", 4, 5, 4}));  // (9 + 2 - 3) / 2 + 1, (8 + 2 - 3) / 2 + 1
  EXPECT_EQ(values_of(builder, "conv.weight").size(), 4u * 3 * 3 * 3);
  y = nn::batch_norm(builder, y, "norm");
  y = nn::max_pool2d(builder, y, 2, "pool");
  EXPECT_EQ(to_string(builder.dims(y)), to_string(Dims{"batch", 4, 2, 2}));
  y = nn::flatten(builder, y, "flat");
  EXPECT_EQ(to_string(builder.dims(y)), to_string(Dims{"batch", 16}));
  EXPECT_THAT(builder.network().parameters,
              ElementsAre("conv.weight", "conv.bias", "norm.scale", "norm.bias"));  // statistics are not trained
}

TEST(Layers, DropoutOfNothingIsNothing) {
  ValueId x;
  nn::NetworkBuilder builder = builder_with_input(0, {"batch", 3}, x);
  EXPECT_EQ(nn::dropout(builder, x, 0, "drop"), x);
  EXPECT_NE(nn::dropout(builder, x, 0.5f, "drop"), x);
  EXPECT_THROW(nn::dropout(builder, x, 1, "all"), Error);
  EXPECT_THROW(nn::dropout(builder, x, -0.1f, "less"), Error);
}

TEST(Layers, NeedAKnownWidth) {
  ValueId x;
  nn::NetworkBuilder builder = builder_with_input(0, {"batch", "width"}, x);
  EXPECT_THROW(nn::linear(builder, x, 3, "fc"), Error);
}

}  // namespace
}  // namespace tandem
