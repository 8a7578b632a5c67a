// The encoders of raw columns on small tables whose answers can be read off.
#include "kernels/api/encoders.h"

#include <limits>
#include <string_view>

#include "tests/kernels/random_tensor.h"

namespace tandem {
namespace {

using test::Context;
using test::Values;
using Texts = Values<std::string_view>;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(Impute, ReplacesNaNOrAValueByFeature) {
  const Values<float> x({2, 3}, {1, kNaN, 3, kNaN, 5, kNaN}), missing({}, {kNaN}), each({3}, {10, 20, 30}), one({1}, {7});
  Values<float> y(x.shape);
  cpu::impute(Context(0), x.view(), y.view(), missing.view(), each.view());
  EXPECT_EQ(y.data, (std::vector<float>{1, 20, 3, 10, 5, 30}));
  cpu::impute(Context(0), x.view(), y.view(), missing.view(), one.view());
  EXPECT_EQ(y.data, (std::vector<float>{1, 7, 3, 7, 5, 7}));
  const Values<int64_t> n({4}, {-1, 2, -1, 4}), gone({}, {-1}), zero({1}, {0});
  Values<int64_t> m(n.shape);
  cpu::impute(Context(0), n.view(), m.view(), gone.view(), zero.view());
  EXPECT_EQ(m.data, (std::vector<int64_t>{0, 2, 0, 4}));
}

TEST(Impute, NaNStaysUnlessItIsWhatIsReplaced) {
  const Values<float> x({2}, {kNaN, 4}), missing({}, {4}), one({1}, {9});
  Values<float> y(x.shape);
  cpu::impute(Context(0), x.view(), y.view(), missing.view(), one.view());
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 9);
}

TEST(Impute, RefusesAnotherNumberOfValuesThanFeatures) {
  const Values<float> x(Shape{2, 3}), missing({}, {0}), two({2}, {1, 2});
  Values<float> y(x.shape);
  EXPECT_THROW(cpu::impute(Context(0), x.view(), y.view(), missing.view(), two.view()), Error);
}

TEST(ScaleFeatures, SubtractsThenMultiplies) {
  const Values<int64_t> x({2, 2}, {10, 20, 30, 40});
  Values<float> y(x.shape);
  cpu::scale_features(Context(0), x.view(), y.view(), std::vector<float>{10, 20}, std::vector<float>{0.5f, 2});
  EXPECT_EQ(y.data, (std::vector<float>{0, 0, 10, 40}));
}

TEST(NormalizeFeatures, DividesByTheNormOfEachRow) {
  const Values<float> x({3, 2}, {3, -4, 0, 0, -2, -8});
  Values<float> y(x.shape);
  cpu::normalize_features(Context(0), x.view(), y.view(), FeatureNorm::kL1);
  EXPECT_EQ(y.data, (std::vector<float>{3.0f / 7, -4.0f / 7, 0, 0, -0.2f, -0.8f}));
  cpu::normalize_features(Context(0), x.view(), y.view(), FeatureNorm::kL2);
  EXPECT_FLOAT_EQ(y[0], 0.6f);
  EXPECT_FLOAT_EQ(y[1], -0.8f);
  EXPECT_EQ(y[2], 0);
  cpu::normalize_features(Context(0), x.view(), y.view(), FeatureNorm::kMax);
  EXPECT_EQ(y.data, (std::vector<float>{1, -4.0f / 3, 0, 0, 1, 4}));
}

TEST(OneHot, MarksTextAndNumbersAndLeavesTheUnknownZero) {
  const Texts cats({3}, {"red", "green", "blue"}), x({2, 2}, {"blue", "red", "pink", ""});
  Values<float> y(Shape{2, 2, 3});
  cpu::one_hot_encode(Context(0), x.view(), y.view(), KeyIndex(cats.view()), false);
  EXPECT_EQ(y.data, (std::vector<float>{0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}));
  const Values<int64_t> numbers({2}, {5, -7});
  const Values<float> real({4}, {-7.9f, 5, kNaN, 1e30f});
  Values<float> z(Shape{4, 2});
  cpu::one_hot_encode(Context(0), real.view(), z.view(), KeyIndex(numbers.view()), false);
  EXPECT_EQ(z.data, (std::vector<float>{0, 1, 1, 0, 0, 0, 0, 0}));
}

TEST(OneHot, NamesTheUnknownCategoryItRefuses) {
  const Texts cats({1}, {"red"}), x({2}, {"red", "pink"});
  Values<float> y(Shape{2, 1});
  try {
    cpu::one_hot_encode(Context(0), x.view(), y.view(), KeyIndex(cats.view()), true);
    FAIL() << "an unknown category was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string_view(error.what()).find("pink"), std::string_view::npos) << error.what();
  }
}

TEST(EncodeLabels, MapsAnyTypeToAnyOther) {
  const Texts keys({3}, {"a", "b", "a"}), x({4}, {"b", "a", "c", "aa"});
  const Values<int64_t> values({3}, {10, 20, 30}), fallback({}, {-1});
  Values<int64_t> y(x.shape);
  cpu::encode_labels(Context(0), x.view(), y.view(), KeyIndex(keys.view()), values.view(), fallback.view());
  EXPECT_EQ(y.data, (std::vector<int64_t>{20, 10, -1, -1}));  // the first of two equal keys counts
  const Values<float> numbers({3}, {1.5f, kNaN, 0}), of({4}, {kNaN, -0.0f, 1.5f, 2});
  const Texts names({3}, {"one and a half", "not a number", "zero"}), other({}, {"_Unused"});
  Texts said(of.shape);
  cpu::encode_labels(Context(0), of.view(), said.view(), KeyIndex(numbers.view()), names.view(), other.view());
  EXPECT_EQ(said.data, (std::vector<std::string_view>{"not a number", "zero", "one and a half", "_Unused"}));
}

TEST(VectorizeFeatures, CutsAndFillsToTheWidths) {
  const Values<int64_t> a({2, 3}, {1, 2, 3, 4, 5, 6});
  const Values<float> b({2, 1}, {0.5f, 1.5f});
  Values<float> y(Shape{2, 4});
  const std::vector<ConstTensorView> inputs = {a.view(), b.view()};
  cpu::vectorize_features(Context(0), inputs, y.view(), std::vector<int64_t>{2, 2});
  EXPECT_EQ(y.data, (std::vector<float>{1, 2, 0.5f, 0, 4, 5, 1.5f, 0}));
}

TEST(ExtractFeatures, PicksColumnsAndRefusesThoseThatAreNotThere) {
  const Texts x({2, 3}, {"a", "b", "c", "d", "e", "f"});
  Texts y(Shape{2, 2});
  cpu::extract_features(Context(0), x.view(), Values<int64_t>({2}, {2, 0}).view(), y.view());
  EXPECT_EQ(y.data, (std::vector<std::string_view>{"c", "a", "f", "d"}));
  for (int64_t wrong : {int64_t{-1}, int64_t{3}})
    EXPECT_THROW(cpu::extract_features(Context(0), x.view(), Values<int64_t>({2}, {wrong, 0}).view(), y.view()), Error);
}

TEST(Binarize, IsStrict) {
  const Values<float> x({3}, {0.5f, 0.6f, -1});
  Values<float> y(x.shape);
  cpu::binarize(Context(0), x.view(), y.view(), 0.5f);
  EXPECT_EQ(y.data, (std::vector<float>{0, 1, 0}));
}

}  // namespace
}  // namespace tandem
