#include "models/data/table.h"

#include <set>

#include "kernels/base/error.h"
#include "runtime/graph/nearest_name.h"

namespace tandem {
namespace {

int64_t length(const Column& column) {
  return static_cast<int64_t>(column.kind == ColumnKind::kNumeric ? column.numbers.size() : column.text.size());
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  std::set<std::string_view> names;
  if (!columns_.empty()) rows_ = length(columns_.front());
  for (const Column& column : columns_) {
    require(names.insert(column.name).second, "two columns of one table have the same name", column.name);
    require(length(column) == rows_, "column differs in length from the first", column.name, length(column), rows_);
  }
}

const Column* Table::find(std::string_view name) const {
  for (const Column& column : columns_)
    if (column.name == name) return &column;
  return nullptr;
}

const Column& Table::column(std::string_view name) const {
  if (const Column* column = find(name)) return *column;
  std::vector<std::string_view> present;
  for (const Column& column : columns_) present.push_back(column.name);
  fail(ErrorCode::kNotFound, "the data has no column of this name", {std::string(name) + did_you_mean(name, present)});
}

}  // namespace tandem
