#include "models/data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "models/data/table_dataset.h"

namespace tandem {
namespace {

// Rows given by (feature, class).
TableDataset data_of(const std::vector<std::pair<double, int64_t>>& rows) {
  Column x{"x", ColumnKind::kNumeric};
  Target target{TargetKind::kClass, {}, {"a", "b", "c"}};
  for (const auto& [value, id] : rows) {
    x.numbers.push_back(value);
    target.classes.push_back(id);
  }
  return TableDataset(Table({x}), target);
}

std::vector<std::pair<double, int64_t>> three_classes() {
  std::vector<std::pair<double, int64_t>> rows;
  for (int i = 0; i < 1000; ++i) rows.emplace_back(i, i % 10 == 0 ? 2 : i % 2);
  return rows;
}

std::set<double> values(const TableDataset& data, const std::vector<int64_t>& rows) {
  std::set<double> out;
  for (int64_t row : rows) out.insert(data.table().columns()[0].numbers[static_cast<size_t>(row)]);
  return out;
}

TEST(Split, EveryRowStandsOnOneSide) {
  const TableDataset data = data_of(three_classes());
  const Split split = split_rows(data, {.test = 0.2, .validation = 0.1, .seed = 5});
  std::vector<int64_t> all = split.train;
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  all.insert(all.end(), split.test.begin(), split.test.end());
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<int64_t>(i));
  EXPECT_EQ(all.size(), 1000u);
}

TEST(Split, EachClassHasItsShare) {
  const TableDataset data = data_of(three_classes());  // 500, 400 and 100 rows
  const Split split = split_rows(data, {.test = 0.2, .validation = 0.1, .seed = 5});
  std::map<int64_t, int> test, validation;
  for (int64_t row : split.test) ++test[data.target().classes[static_cast<size_t>(row)]];
  for (int64_t row : split.validation) ++validation[data.target().classes[static_cast<size_t>(row)]];
  EXPECT_EQ(test, (std::map<int64_t, int>{{0, 80}, {1, 100}, {2, 20}}));
  EXPECT_EQ(validation, (std::map<int64_t, int>{{0, 40}, {1, 50}, {2, 10}}));
}

TEST(Split, DoesNotDependOnTheOrderOfRows) {
  std::vector<std::pair<double, int64_t>> rows = three_classes();
  const TableDataset forward = data_of(rows);
  std::reverse(rows.begin(), rows.end());
  const TableDataset backward = data_of(rows);
  const Split a = split_rows(forward, {.seed = 1}), b = split_rows(backward, {.seed = 1});
  EXPECT_EQ(values(forward, a.test), values(backward, b.test));
  EXPECT_EQ(a.id, b.id);
}

TEST(Split, DependsOnTheSeed) {
  const TableDataset data = data_of(three_classes());
  EXPECT_EQ(split_rows(data, {.seed = 1}).id, split_rows(data, {.seed = 1}).id);
  EXPECT_NE(split_rows(data, {.seed = 1}).id, split_rows(data, {.seed = 2}).id);
  EXPECT_NE(split_rows(data, {.seed = 1}).test, split_rows(data, {.seed = 2}).test);
}

TEST(Split, EqualRowsStayTogether) {
  std::vector<std::pair<double, int64_t>> rows;
  for (int i = 0; i < 600; ++i) rows.emplace_back(i / 6, i / 6 % 2);  // every row six times
  const TableDataset data = data_of(rows);
  const Split split = split_rows(data, {.test = 0.25, .validation = 0.15, .seed = 3});
  const std::set<double> train = values(data, split.train), validation = values(data, split.validation),
                         test = values(data, split.test);
  EXPECT_EQ(train.size() + validation.size() + test.size(), 100u);
  EXPECT_NEAR(static_cast<double>(split.test.size()), 150, 12);
}

TEST(Split, RefusesImpossibleShares) {
  const TableDataset data = data_of({{1, 0}, {2, 1}});
  EXPECT_THROW(split_rows(data, {.test = 1.0}), Error);
  EXPECT_THROW(split_rows(data, {.test = -0.1}), Error);
  EXPECT_THROW(split_rows(data, {.test = 0.6, .validation = 0.5}), Error);
  EXPECT_THROW(split_rows(data, {.test = 0.1, .validation = 0}), Error);  // no row gets there
}

}  // namespace
}  // namespace tandem
