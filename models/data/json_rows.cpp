#include "models/data/json_rows.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/error.h"
#include "models/data/decompress.h"

namespace tandem {
namespace {

using Json = nlohmann::ordered_json;

// The parser itself does not recurse, so depth costs heap only; what is deeper than the limit is refused while it is read.
// Repeated keys are refused because the parser would silently keep the last.
Json parse(std::string_view text, std::string_view source, const Limits& limits) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    require(depth <= limits.json_depth, "JSON is nested too deeply", source, "limit", limits.json_depth);
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const bool fresh = keys.back().insert(value.get<std::string>()).second;
      require(fresh, "JSON object has a key twice", source, value.get<std::string>());
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& error) {
    fail(ErrorCode::kInvalidArgument, "not JSON", {source, error.what()});
  }
}

// Columns as they are met; the values point into the parsed document.
struct JsonColumn {
  std::string name;
  std::vector<const Json*> values;
};

std::vector<JsonColumn> from_rows(const Json& rows, std::string_view source) {
  std::vector<JsonColumn> columns;
  require(!rows.empty() && rows[0].is_object(), "expected an array of row objects, at least one", source);
  for (const auto& [name, value] : rows[0].items()) columns.push_back({name, {}});
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string where = "row " + std::to_string(i + 1);
    require(rows[i].is_object(), "row is not a JSON object", source, where);
    for (JsonColumn& column : columns) {
      const auto cell = rows[i].find(column.name);
      require(cell != rows[i].end(), "row lacks a column", source, where, column.name);
      column.values.push_back(&*cell);
    }
    if (rows[i].size() == columns.size()) continue;
    for (const auto& [name, value] : rows[i].items())
      require(rows[0].contains(name), "row has a column that the first row lacks", source, where, name);
  }
  return columns;
}

std::vector<JsonColumn> from_columns(const Json& object, std::string_view source) {
  std::vector<JsonColumn> columns;
  for (const auto& [name, values] : object.items()) {
    require(values.is_array(), "column is not a JSON array", source, name);
    JsonColumn column{name, {}};
    for (const Json& value : values) column.values.push_back(&value);
    columns.push_back(std::move(column));
    const size_t first = columns[0].values.size(), here = columns.back().values.size();
    require(here == first, "JSON column differs in length from the first (values, in the first)", source, name, here, first);
  }
  require(!columns.empty(), "JSON object has no columns", source);
  return columns;
}

ColumnKind kind_of(const JsonColumn& column, const std::map<std::string, ColumnKind>& kinds) {
  if (const auto declared = kinds.find(column.name); declared != kinds.end()) return declared->second;
  for (const Json* value : column.values)
    if (!value->is_null()) return value->is_string() ? ColumnKind::kText : ColumnKind::kNumeric;
  return ColumnKind::kText;
}

Column convert(const JsonColumn& raw, ColumnKind kind, std::string_view source) {
  Column column{raw.name, kind};
  for (size_t row = 0; row < raw.values.size(); ++row) {
    const Json& value = *raw.values[row];
    const bool is_number = value.is_number() || value.is_boolean(), is_text = value.is_string();
    const bool fits = value.is_null() || (kind == ColumnKind::kText ? is_text : is_number);
    require(fits, "value has the wrong type", source, "row " + std::to_string(row + 1), "column '" + raw.name + "'",
            std::string("found ") + value.type_name(), "expected " + std::string(name(kind)));
    if (kind == ColumnKind::kText)
      column.text.push_back(is_text ? value.get<std::string>() : std::string());
    else
      column.numbers.push_back(value.is_null()      ? std::nan("")
                               : value.is_boolean() ? (value.get<bool>() ? 1 : 0)
                                                    : value.get<double>());
  }
  return column;
}

}  // namespace

Table parse_json_rows(std::string_view text, std::string_view source, const std::map<std::string, ColumnKind>& kinds,
                      const Limits& limits) {
  const Json document = parse(text, source, limits);
  require(document.is_array() || document.is_object(), "expected an array of rows or an object of columns", source);
  std::vector<Column> columns;
  for (const JsonColumn& raw : document.is_array() ? from_rows(document, source) : from_columns(document, source))
    columns.push_back(convert(raw, kind_of(raw, kinds), source));
  Table table(std::move(columns));
  for (const auto& [name, kind] : kinds)
    require(table.find(name) != nullptr, "column is declared but the rows do not have it", source, name);
  require(table.rows() > 0, "JSON holds no rows", source);
  return table;
}

Table read_json_rows(const std::filesystem::path& path, const std::map<std::string, ColumnKind>& kinds, const Limits& limits) {
  return parse_json_rows(read_data_file(path, limits.text_file_bytes), path.string(), kinds, limits);
}

}  // namespace tandem
