#include "models/data/json_rows.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/models/data/message_of.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(std::string_view text, const std::map<std::string, ColumnKind>& kinds = {}) {
  return message_of([&] { parse_json_rows(text, "rows.json", kinds); });
}

TEST(JsonRows, ReadsRowsAndColumnsAlike) {
  const Table rows = parse_json_rows(R"([{"age": 39, "job": "Sales"}, {"job": null, "age": null}])", "rows.json");
  const Table columns = parse_json_rows(R"({"age": [39, null], "job": ["Sales", null]})", "rows.json");
  for (const Table* table : {&rows, &columns}) {
    EXPECT_EQ(table->column("age").numbers[0], 39);
    EXPECT_TRUE(std::isnan(table->column("age").numbers[1]));
    EXPECT_THAT(table->column("job").text, ElementsAre("Sales", ""));
  }
}

TEST(JsonRows, BooleansAreNumbers) {
  EXPECT_THAT(parse_json_rows(R"({"a": [true, false, 2.5]})", "rows.json").column("a").numbers, ElementsAre(1, 0, 2.5));
}

TEST(JsonRows, RefusesWithRowAndColumn) {
  EXPECT_EQ(refusal(R"([{"a": 1}, {"a": "x"}])"),
            "value has the wrong type: rows.json, row 2, column 'a', found string, expected number");
  EXPECT_THAT(refusal(R"([{"a": 1, "b": 2}, {"a": 1}])"), HasSubstr("row lacks a column: rows.json, row 2, b"));
  EXPECT_THAT(refusal(R"([{"a": 1}, {"a": 1, "c": 2}])"), HasSubstr("row 2, c"));
  EXPECT_THAT(refusal(R"({"a": [1, 2], "b": [1]})"), HasSubstr("differs in length"));
  EXPECT_THAT(refusal(R"([{"a": 1, "a": 2}])"), HasSubstr("key twice"));
  EXPECT_THAT(refusal(R"([{"a": [1]}])"), HasSubstr("found array"));
  EXPECT_THAT(refusal(R"([{"a": 1}])", {{"b", ColumnKind::kText}}), HasSubstr("declared"));
}

TEST(JsonRows, RefusesWhatIsNotRows) {
  for (const char* text :
       {"", "[", "[]", "{}", "3", "[1]", "[{\"a\": 1e999}]", "[{\"a\": \"\xff\"}]", "[{\"a\": NaN}]", "{\"a\": []}"})
    refusal(text);
}

TEST(JsonRows, RefusesDeepNestingWithoutRecursion) {
  EXPECT_THAT(refusal(std::string(1'000'000, '[')), HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace tandem
