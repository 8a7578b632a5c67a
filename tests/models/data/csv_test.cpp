#include "models/data/csv.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/models/data/message_of.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Table parse(std::string_view text, const CsvOptions& options = {}) { return parse_csv(text, "rows.csv", options); }

std::string refusal(std::string_view text, const CsvOptions& options = {}) {
  return message_of([&] { parse(text, options); });
}

TEST(Csv, InfersKindsAndReadsMissingValues) {
  const Table table = parse("age,job\n39, Sales\n?, ?\n 41.5 ,\"A, B\"\n");
  EXPECT_EQ(table.rows(), 3);
  const Column& age = table.column("age");
  EXPECT_EQ(age.kind, ColumnKind::kNumeric);
  EXPECT_EQ(age.numbers[0], 39);
  EXPECT_TRUE(std::isnan(age.numbers[1]));
  EXPECT_EQ(age.numbers[2], 41.5);
  EXPECT_THAT(table.column("job").text, ElementsAre("Sales", "", "A, B"));
}

TEST(Csv, ReadsQuotedCellsOfRfc4180) {
  const Table table = parse("a,b\r\n\"say \"\"hi\"\"\",\"two\r\nlines\"\r\n\"\"\"\",x\"y\r\n");
  EXPECT_THAT(table.column("a").text, ElementsAre("say \"hi\"", "\""));
  EXPECT_THAT(table.column("b").text, ElementsAre("two\r\nlines", "x\"y"));
}

TEST(Csv, KeepsBlanksWhenAsked) {
  CsvOptions options;
  options.trim_blanks = false;
  EXPECT_THAT(parse("a\n x \n", options).column("a").text, ElementsAre(" x "));
  EXPECT_THAT(parse("a,b\n 1,x\n", options).column("a").numbers, ElementsAre(1));
}

TEST(Csv, NamesReplaceAHeaderOrFindIt) {
  CsvOptions options;
  options.names = {"a", "b"};
  EXPECT_EQ(parse("1,2\n3,4\n", options).rows(), 2);
  EXPECT_EQ(parse("a,b\n3,4\n", options).rows(), 1);
  options.names = {};
  options.header = CsvHeader::kAbsent;
  options.skip_lines = 1;
  const Table table = parse("2 rows of 2\n1,2\n3,4", options);
  EXPECT_THAT(table.column("c1").numbers, ElementsAre(2, 4));
}

TEST(Csv, SkipsByteOrderMarkAndEmptyLines) {
  const Table table = parse(
      "\xef\xbb\xbf"
      "a,b\n\n1,2\n\n\n3,4\n\n");
  EXPECT_THAT(table.column("a").numbers, ElementsAre(1, 3));
}

TEST(Csv, AnEmptyLineOfAOneColumnTableIsAMissingValue) {
  const Table table = parse("a\n1\n\n3\n");
  ASSERT_EQ(table.rows(), 3);
  EXPECT_TRUE(std::isnan(table.column("a").numbers[1]));
}

TEST(Csv, MissingCellNamesFileLineAndColumn) {
  EXPECT_EQ(refusal("a,b,c\n1,2,3\n4,5\n"),
            "row has too few cells: rows.csv line 3, found 2, expected 3, the first column without one is 'c'");
}

TEST(Csv, ExtraCellNamesFileLineAndCell) {
  EXPECT_EQ(refusal("a,b\n1,2\n\n3,4,5\n"),
            "row has too many cells: rows.csv line 4, found 3, expected 2, the first one without a column is '5'");
}

TEST(Csv, LineNumbersCountLinesInsideQuotes) { EXPECT_THAT(refusal("a,b\n\"1\n2\",3\n4\n"), HasSubstr("line 4")); }

TEST(Csv, WrongTypeNamesFileLineColumnAndCell) {
  CsvOptions options;
  options.kinds["age"] = ColumnKind::kNumeric;
  EXPECT_EQ(refusal("name,age\nx,1\ny,old\n", options),
            "cell is not a number: rows.csv line 3, column 'age', found 'old', expected a number");
}

TEST(Csv, RefusesNumbersThatAreNotFinite) {
  EXPECT_THAT(refusal("a\n1\ninf\n"), HasSubstr("number is not finite: rows.csv line 3, column 'a', found 'inf'"));
  EXPECT_THAT(refusal("a\n1e999\n"), HasSubstr("not finite"));
}

TEST(Csv, RefusesDamagedText) {
  EXPECT_THAT(refusal("a,b\n1,\"open\n"), HasSubstr("quoted cell is never closed: rows.csv, line 2, column 2"));
  EXPECT_THAT(refusal("a\n\"x\"y\n"), HasSubstr("text follows the closing quote"));
  EXPECT_THAT(refusal(std::string_view("a\n1\0002\n", 6)), HasSubstr("NUL byte"));
  EXPECT_THAT(refusal("a\n\xff\n"), HasSubstr("not UTF-8"));
  EXPECT_THAT(refusal("a\n\xc0\x80\n"), HasSubstr("not UTF-8"));  // an overlong NUL
}

TEST(Csv, RefusesEmptyFiles) {
  EXPECT_THAT(refusal(""), HasSubstr("file is empty"));
  EXPECT_THAT(refusal("\n\n"), HasSubstr("file is empty"));
  EXPECT_THAT(refusal("a,b\n"), HasSubstr("file has no rows"));
}

TEST(Csv, RefusesMissingAndRepeatedColumns) {
  CsvOptions options;
  options.kinds["age"] = ColumnKind::kNumeric;
  EXPECT_THAT(refusal("a,b\n1,2\n", options), HasSubstr("the file does not have it: rows.csv, age"));
  EXPECT_THAT(refusal("a,a\n1,2\n"), HasSubstr("same name: a"));
}

TEST(Csv, RefusesTooManyColumns) {
  Limits limits;
  limits.csv_columns = 2;
  EXPECT_THAT(message_of([&] { parse_csv("a,b,c\n1,2,3\n", "rows.csv", {}, limits); }), HasSubstr("too many columns"));
}

TEST(Csv, AnUnknownColumnSuggestsTheNearest) {
  try {
    parse("education,age\n1,2\n").column("educatoin");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'education'"));
  }
}

// Every prefix and every one-byte change of a small file is read or refused, never worse.
TEST(Csv, SurvivesDamage) {
  const std::string good = "a,\"b\"\r\n1,\"x\"\"y\"\n2, z\n";
  const auto attempt = [](std::string_view text) {
    try {
      parse(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    }
  };
  for (size_t size = 0; size < good.size(); ++size) attempt(std::string_view(good).substr(0, size));
  for (size_t at = 0; at < good.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      std::string bad = good;
      bad[at] = static_cast<char>(byte);
      attempt(bad);
    }
}

}  // namespace
}  // namespace tandem
