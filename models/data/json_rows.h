// Rows in JSON as a table: an array of objects `[{"age": 39, "job": "Sales"}, ...]`, or an object of columns
// `{"age": [39, ...], "job": ["Sales", ...]}`.
//
// Numbers and booleans (1 and 0) make number columns, texts make text columns, null means missing. Every row must have every
// column.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "models/data/table.h"
#include "runtime/graph/limits.h"

namespace tandem {

// `kinds` declares columns, so that one whose values are all null has a kind; a declared column that is absent is an error.
// `source` names the file. Throws InvalidArgument for text that is not JSON, repeated keys, too deep nesting, and values that do
// not fit, naming row and column.
Table parse_json_rows(std::string_view text, std::string_view source, const std::map<std::string, ColumnKind>& kinds = {},
                      const Limits& limits = {});

Table read_json_rows(const std::filesystem::path& path, const std::map<std::string, ColumnKind>& kinds = {},
                     const Limits& limits = {});

}  // namespace tandem
