// A table in memory: named columns of numbers or text, one value a row. What CSV and JSON files are read into.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

enum class ColumnKind { kNumeric, kText };

constexpr std::string_view name(ColumnKind kind) { return kind == ColumnKind::kNumeric ? "number" : "text"; }

// A missing number is NaN, missing text is the empty string, whatever marker the file used.
struct Column {
  std::string name;
  ColumnKind kind = ColumnKind::kNumeric;
  std::vector<double> numbers = {};    // kNumeric: one a row
  std::vector<std::string> text = {};  // kText: one a row
};

class Table {
 public:
  Table() = default;
  // Throws InvalidArgument if two columns share a name or the columns differ in length.
  explicit Table(std::vector<Column> columns);

  int64_t rows() const { return rows_; }
  const std::vector<Column>& columns() const { return columns_; }
  // Null if there is none.
  const Column* find(std::string_view name) const;
  // Throws NotFound naming the column and the nearest one there is.
  const Column& column(std::string_view name) const;

 private:
  std::vector<Column> columns_;
  int64_t rows_ = 0;
};

}  // namespace tandem
