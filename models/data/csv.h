// CSV files as tables: RFC 4180 (quoted cells may hold commas, line ends and doubled quotes; LF or CRLF), UTF-8, plain, gzip or
// xz.
//
// Every row must have as many cells as the table has columns. Empty lines are skipped unless the table has one column. Errors are
// InvalidArgument and name the file, line and column, with what was expected there.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/data/table.h"
#include "runtime/graph/limits.h"

namespace tandem {

enum class CsvHeader {
  kAuto,     // a header line if `names` is empty; else none, but a first line that repeats `names` exactly is taken for one
  kPresent,  // the first line is a header; `names`, if given, replace what it says
  kAbsent,   // every line is data; without `names` the columns are c0, c1, ...
};

struct CsvOptions {
  char delimiter = ',';
  CsvHeader header = CsvHeader::kAuto;
  std::vector<std::string> names = {};                               // column names, in the file's order
  int64_t skip_lines = 0;                                            // lines before the header or the first row
  std::vector<std::string> missing = {"", "?", "NA", "NaN", "nan"};  // cells that mean "no value"
  bool trim_blanks = true;                                           // blanks around an unquoted cell are not content
  std::map<std::string, ColumnKind> kinds = {};  // declared; other columns are numbers if every present cell is one, else text
};

// `text` is the whole content; `source` names it in errors.
Table parse_csv(std::string_view text, std::string_view source, const CsvOptions& options, const Limits& limits = {});

Table read_csv(const std::filesystem::path& path, const CsvOptions& options, const Limits& limits = {});

}  // namespace tandem
