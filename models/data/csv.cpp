// The cells of each column are gathered first (16 bytes a cell, pointing into the file's text), then read as numbers or text: the
// kind of a column is known only when all its cells are.
#include "models/data/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "kernels/base/error.h"
#include "models/data/csv_cells.h"
#include "models/data/decompress.h"

namespace tandem {
namespace {

struct RawTable {
  std::vector<std::string> names;
  std::vector<std::vector<std::string_view>> cells;  // by column, then row
  std::vector<int64_t> lines;                        // of each row in the file
};

std::string place(std::string_view source, int64_t line) { return std::string(source) + " line " + std::to_string(line); }

bool is_missing(std::string_view cell, const CsvOptions& options) {
  return std::find(options.missing.begin(), options.missing.end(), cell) != options.missing.end();
}

// The whole cell as a number, infinities included.
bool parse_number(std::string_view cell, double& value) {
  const size_t first = cell.find_first_not_of(" \t"), last = cell.find_last_not_of(" \t");
  if (first == std::string_view::npos) return false;
  cell = cell.substr(first, last - first + 1);
  if (cell.size() > 1 && cell[0] == '+' && cell[1] != '-') cell.remove_prefix(1);
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (end != cell.data() + cell.size() || error == std::errc::invalid_argument) return false;
  if (error == std::errc::result_out_of_range) value = std::numeric_limits<double>::infinity();
  return true;
}

std::vector<std::string> header_names(const std::vector<std::string_view>& first, const CsvOptions& options, bool& is_header) {
  const bool repeats = std::equal(first.begin(), first.end(), options.names.begin(), options.names.end());
  is_header = options.header == CsvHeader::kPresent || (options.header == CsvHeader::kAuto && (options.names.empty() || repeats));
  if (!options.names.empty()) return options.names;
  if (is_header) return {first.begin(), first.end()};
  std::vector<std::string> names;
  for (size_t i = 0; i < first.size(); ++i) names.push_back("c" + std::to_string(i));
  return names;
}

void check_width(const std::vector<std::string_view>& row, const std::vector<std::string>& names, const std::string& where) {
  if (row.size() == names.size()) return;
  const std::string found = "found " + std::to_string(row.size()), expected = "expected " + std::to_string(names.size());
  if (row.size() < names.size())
    fail(ErrorCode::kInvalidArgument, "row has too few cells",
         {where, found, expected, "the first column without one is '" + names[row.size()] + "'"});
  fail(ErrorCode::kInvalidArgument, "row has too many cells",
       {where, found, expected, "the first one without a column is '" + std::string(row[names.size()].substr(0, 40)) + "'"});
}

RawTable gather_cells(CsvCells& reader, std::string_view source, const CsvOptions& options, const Limits& limits) {
  for (int64_t i = 0; i < options.skip_lines; ++i) reader.skip_line();
  RawTable raw;
  std::vector<std::string_view> row;
  const auto is_empty_line = [&] { return row.size() == 1 && row[0].empty() && raw.names.size() != 1; };
  while (reader.next_row(row)) {
    if (is_empty_line()) continue;
    if (raw.names.empty()) {
      require(static_cast<int64_t>(row.size()) <= limits.csv_columns, "too many columns", place(source, reader.line()),
              row.size(), limits.csv_columns);
      bool is_header = false;
      raw.names = header_names(row, options, is_header);
      raw.cells.resize(raw.names.size());
      check_width(row, raw.names, place(source, reader.line()));
      if (is_header) continue;
    }
    check_width(row, raw.names, place(source, reader.line()));
    for (size_t i = 0; i < row.size(); ++i) raw.cells[i].push_back(row[i]);
    raw.lines.push_back(reader.line());
  }
  require(!raw.names.empty(), "file is empty; expected a header or rows", source);
  require(!raw.lines.empty(), "file has no rows", source);
  return raw;
}

ColumnKind infer_kind(const std::vector<std::string_view>& cells, const CsvOptions& options) {
  double value;
  bool any = false;
  for (std::string_view cell : cells) {
    if (is_missing(cell, options)) continue;
    if (!parse_number(cell, value)) return ColumnKind::kText;
    any = true;
  }
  return any ? ColumnKind::kNumeric : ColumnKind::kText;
}

double read_number(std::string_view cell, std::string_view column, const std::string& where) {
  double value = 0;
  const std::string shown = "found '" + std::string(cell.substr(0, 40)) + "'";
  require(parse_number(cell, value), "cell is not a number", where, "column '" + std::string(column) + "'", shown,
          "expected a number");
  require(std::isfinite(value), "number is not finite", where, "column '" + std::string(column) + "'", shown,
          "list it among the missing-value markers if it means no value");
  return value;
}

Column read_column(const RawTable& raw, size_t index, std::string_view source, const CsvOptions& options) {
  const std::vector<std::string_view>& cells = raw.cells[index];
  const auto declared = options.kinds.find(raw.names[index]);
  Column column{raw.names[index], declared == options.kinds.end() ? infer_kind(cells, options) : declared->second};
  for (size_t row = 0; row < cells.size(); ++row) {
    const bool missing = is_missing(cells[row], options);
    if (column.kind == ColumnKind::kText)
      column.text.emplace_back(missing ? std::string_view() : cells[row]);
    else
      column.numbers.push_back(missing ? std::nan("") : read_number(cells[row], column.name, place(source, raw.lines[row])));
  }
  return column;
}

}  // namespace

Table parse_csv(std::string_view text, std::string_view source, const CsvOptions& options, const Limits& limits) {
  CsvCells reader(text, source, options.delimiter, options.trim_blanks);
  const RawTable raw = gather_cells(reader, source, options, limits);
  for (const auto& [name, kind] : options.kinds) {
    const bool present = std::find(raw.names.begin(), raw.names.end(), name) != raw.names.end();
    require(present, "column is declared but the file does not have it", source, name);
  }
  std::vector<Column> columns;
  for (size_t i = 0; i < raw.names.size(); ++i) columns.push_back(read_column(raw, i, source, options));
  return Table(std::move(columns));
}

Table read_csv(const std::filesystem::path& path, const CsvOptions& options, const Limits& limits) {
  return parse_csv(read_data_file(path, limits.text_file_bytes), path.string(), options, limits);
}

}  // namespace tandem
