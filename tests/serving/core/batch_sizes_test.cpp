#include "serving/core/batch_sizes.h"

#include <gmock/gmock.h>

#include "kernels/base/error.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string fault(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "none";
}

const Signature kBatched{.inputs = {{"x", DType::kF32, {"n", 4}}}, .outputs = {}, .batched = true, .batch_symbol = "n"};
const Signature kFixed{.inputs = {{"x", DType::kF32, {2, 4}}}, .outputs = {}, .batched = false, .batch_symbol = ""};

BatchSizes declared(std::vector<int64_t> sizes, bool by_model = true) { return {std::move(sizes), "here", by_model}; }

std::optional<BatchSizes> sizes_in(std::string_view config) { return declared_batch_sizes(parse_model_config(config)); }

TEST(BatchSizes, AreReadFromTritonsFields) {
  const auto graphs =
      sizes_in("optimization { cuda { graphs: true graph_spec [ { batch_size: 8 }, { batch_size: 1 } ] } }");
  ASSERT_TRUE(graphs);
  EXPECT_THAT(graphs->sizes, ElementsAre(8, 1));
  EXPECT_EQ(graphs->where, "optimization.cuda.graph_spec.batch_size");
  EXPECT_TRUE(graphs->by_model);
  EXPECT_THAT(sizes_in("dynamic_batching { preferred_batch_size: [4, 8] }")->sizes, ElementsAre(4, 8));
  EXPECT_THAT(sizes_in("dynamic_batching { preferred_batch_size: 4 preferred_batch_size: 8 }")->sizes,
              ElementsAre(4, 8));
  EXPECT_THAT(sizes_in(
                  "dynamic_batching { preferred_batch_size: [4] } optimization { cuda { graph_spec { batch_size: 2 } } }")
                  ->sizes,
              ElementsAre(2));
  EXPECT_THAT(sizes_in("optimization { cuda { graphs: false graph_spec { batch_size: 2 } } }")->sizes, IsEmpty());
  EXPECT_FALSE(sizes_in("max_batch_size: 8 optimization { cuda { graphs: true } } dynamic_batching { }"));
  EXPECT_FALSE(sizes_in(""));
}

TEST(BatchSizes, AreReadFromTheCommandLine) {
  EXPECT_FALSE(parse_batch_sizes("auto"));
  EXPECT_THAT(parse_batch_sizes("none")->sizes, IsEmpty());
  EXPECT_THAT(parse_batch_sizes("8,1,32")->sizes, ElementsAre(8, 1, 32));
  EXPECT_FALSE(parse_batch_sizes("8")->by_model);
  for (const char* text : {"", "1,", "x", "1,x", "1;2", "1.5", " 1", "99999999999999999999"})
    EXPECT_THAT(fault([&] { parse_batch_sizes(text); }), HasSubstr("a list such as '1,8,32'")) << text;
}

TEST(BatchSizes, AreChecked) {
  const auto check = [](std::vector<int64_t> sizes) {
    return fault([&] { sizes_to_make_ready(declared(std::move(sizes)), kBatched, 8, 16); });
  };
  EXPECT_EQ(check({1, 0}), "here has a batch size that is not positive: 0");
  EXPECT_EQ(check({-3}), "here has a batch size that is not positive: -3");
  EXPECT_EQ(check({1, 17}), "here has a batch size beyond max_batch_size, or the server's --max-batch (given, most): 17, 16");
  EXPECT_EQ(check({4, 1, 4}), "here has a batch size twice: 4");
  EXPECT_EQ(check({4, 16}), "none");
  EXPECT_THAT(check(std::vector<int64_t>(65, 1)), HasSubstr("too many batch sizes"));
  EXPECT_THAT(fault([] { sizes_to_make_ready(declared({4}), kFixed, 8, 16); }), HasSubstr("the model has no batch dimension"));
}

TEST(BatchSizes, AreChosenForModelsThatDeclareNone) {
  EXPECT_THAT(sizes_to_make_ready({}, kBatched, 8, 16), ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(sizes_to_make_ready({}, kBatched, 64, 5), ElementsAre(1, 2, 4));
  EXPECT_THAT(sizes_to_make_ready(declared({12, 3}), kBatched, 8, 16), ElementsAre(3, 12));
  EXPECT_THAT(sizes_to_make_ready(declared({}), kBatched, 8, 16), IsEmpty());
  for (const auto& all : {std::optional<BatchSizes>(), std::optional(declared({4, 8}, false)), std::optional(declared({0}))})
    EXPECT_THAT(sizes_to_make_ready(all, kFixed, 8, 16), ElementsAre(0));
  EXPECT_THAT(sizes_to_make_ready(declared({}), kFixed, 8, 16), IsEmpty());
}

}  // namespace
}  // namespace tandem
