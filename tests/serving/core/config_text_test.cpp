#include "serving/core/config_text.h"

#include <gmock/gmock.h>

#include "kernels/base/error.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "path=text" for plain values, "path='text'" for quoted ones, "path{" for messages.
std::vector<std::string> values(std::string_view text) {
  std::vector<std::string> shown;
  for (const ConfigValue& value : parse_config_text(text)) {
    const bool quoted = value.kind == ConfigValue::Kind::kText;
    shown.push_back(value.path + (value.kind == ConfigValue::Kind::kMessage ? "{"
                                  : quoted                                  ? "='" + value.text + "'"
                                                                            : "=" + value.text));
  }
  return shown;
}

std::string fault(std::string_view text) {
  try {
    parse_config_text(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "none";
}

TEST(ConfigText, ReadsWhatTritonUsersWrite) {
  EXPECT_THAT(values(R"(
    name: "mlp"   # a comment: { [
    max_batch_size: 8
    input [
      { name: "x" data_type: TYPE_FP32 dims: [ 4, -1 ] },
      { name: 'y', dims: 3; }
    ]
    dynamic_batching { preferred_batch_size: [ 4, 8 ] }
    optimization: { cuda < graphs: true > }
    instance_group { }
    parameters { key: "k" value: { string_value: "a \" b" "c" } })"),
              ElementsAre("name='mlp'", "max_batch_size=8", "input{", "input.name='x'", "input.data_type=TYPE_FP32",
                          "input.dims=4", "input.dims=-1", "input{", "input.name='y'", "input.dims=3", "dynamic_batching{",
                          "dynamic_batching.preferred_batch_size=4", "dynamic_batching.preferred_batch_size=8", "optimization{",
                          "optimization.cuda{", "optimization.cuda.graphs=true", "instance_group{", "parameters{",
                          "parameters.key='k'", "parameters.value{", "parameters.value.string_value='a \\\" bc'"));
}

TEST(ConfigText, ReadsNothing) {
  EXPECT_THAT(values(""), IsEmpty());
  EXPECT_THAT(values(" # only a comment"), IsEmpty());
  EXPECT_THAT(values("dims: []"), IsEmpty());
}

TEST(ConfigText, KnowsItsLines) {
  const std::vector<ConfigValue> found = parse_config_text("a: 1\n# b\n\nc {\n  d: 2\n}");
  EXPECT_EQ(found.at(0).line, 1);
  EXPECT_EQ(found.at(1).line, 4);
  EXPECT_EQ(found.at(2).line, 5);
}

TEST(ConfigText, RefusesWhatIsDamaged) {
  EXPECT_EQ(fault("a: 1\nb 2"), "line 2: expected ':' or '{' after 'b'");
  EXPECT_EQ(fault("a {\n b: 1\n"), "line 3: '}' is missing at the end");
  EXPECT_EQ(fault("a: [ 1, 2"), "line 1: expected ',' or ']' in a list");
  EXPECT_EQ(fault("a: [ 1 2 ]"), "line 1: expected ',' or ']' in a list");
  EXPECT_EQ(fault("a: [ { b: 1 ]"), "line 1: expected the name of a field, found ']'");
  EXPECT_EQ(fault("}"), "line 1: expected the name of a field, found '}'");
  EXPECT_EQ(fault("a:"), "line 1: expected a value, found the end");
  EXPECT_EQ(fault("a: \"b"), "line 1: a text has no end");
  EXPECT_EQ(fault("a: \"b\\"), "line 1: a text has no end");
  EXPECT_EQ(fault("a: \"b\nc\""), "line 1: a text has no end");
  EXPECT_EQ(fault("a: [ [ 1 ] ]"), "line 1: expected a value, found '['");
}

// Every beginning of a whole file, and a file with any one byte wrong, is read or refused.
TEST(ConfigText, SurvivesAnyDamage) {
  const std::string whole = "input [ { name: \"x\" dims: [ 4, -1 ] } ]\noptimization { cuda { graphs: true } } # end";
  for (size_t size = 0; size <= whole.size(); ++size) fault(whole.substr(0, size));
  for (size_t at = 0; at < whole.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      std::string wrong = whole;
      wrong[at] = static_cast<char>(byte);
      fault(wrong);
    }
}

TEST(ConfigText, IsNotNestedTooDeep) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "a { ";
  EXPECT_THAT(fault(deep), HasSubstr("nested too deep"));
}

}  // namespace
}  // namespace tandem
