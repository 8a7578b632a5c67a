#include "models/run/read_inputs.h"

#include <algorithm>
#include <limits>

#include "models/data/csv.h"
#include "models/data/json_rows.h"
#include "models/data/npy.h"
#include "runtime/graph/nearest_name.h"

namespace tandem {
namespace {

const Value* find_input(const Graph& graph, std::string_view name) {
  for (ValueId id : graph.inputs)
    if (graph.value(id).name == name) return &graph.value(id);
  return nullptr;
}

// What the graph asks for in the form that files give: text columns for strings, number columns for the rest.
std::map<std::string, ColumnKind> column_kinds(const Graph& graph) {
  std::map<std::string, ColumnKind> kinds;
  for (ValueId id : graph.inputs)
    kinds[graph.value(id).name] = graph.value(id).type.dtype == DType::kString ? ColumnKind::kText : ColumnKind::kNumeric;
  return kinds;
}

Tensor numbers_as(const std::vector<double>& numbers, const Value& input) {
  Tensor tensor(input.type.dtype, {static_cast<int64_t>(numbers.size())});
  visit_number(input.type.dtype, [&]<class T>() {
    for (size_t i = 0; i < numbers.size(); ++i) {
      if constexpr (std::is_integral_v<T>)
        require(numbers[i] >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
                    numbers[i] <= static_cast<double>(std::numeric_limits<T>::max()) &&
                    numbers[i] == static_cast<double>(static_cast<T>(numbers[i])),
                "a value does not fit the input's type (input, row, value, type)", input.name, i, numbers[i],
                name(input.type.dtype));
      tensor.as<T>()[i] = static_cast<T>(numbers[i]);
    }
  });
  return tensor;
}

// [rows] under the rank the input asks for: [rows], or [rows, 1].
Tensor with_rank(const Tensor& column, const Value& input) {
  if (!input.type.dims || input.type.dims->size() != 2) return column;
  return column.reshaped({column.shape()[0], 1});
}

void add_columns(Feed& feed, const Graph& graph, const Table& table) {
  for (const Column& column : table.columns()) {
    const Value* input = find_input(graph, column.name);
    if (!input) continue;
    const Tensor tensor = column.kind == ColumnKind::kText
                              ? Tensor::strings({table.rows()}, std::span<const std::string>(column.text))
                              : numbers_as(column.numbers, *input);
    feed[column.name] = with_rank(tensor, *input);
  }
}

void add_named(Feed& feed, const Graph& graph, const std::string& input, const std::string& path) {
  if (!find_input(graph, input)) {
    std::vector<std::string_view> known;
    for (ValueId id : graph.inputs) known.push_back(graph.value(id).name);
    fail(ErrorCode::kInvalidArgument, "the model has no input of this name" + did_you_mean(input, known), {input});
  }
  require(path.ends_with(".npy"), "one named input is read from a .npy file", path);
  feed[input] = read_npy(path);
}

void add_file(Feed& feed, const Graph& graph, const std::string& path) {
  if (path.ends_with(".npz")) {
    for (auto& [name, tensor] : read_npz(path))
      if (find_input(graph, name)) feed[name] = std::move(tensor);
  } else if (path.ends_with(".json")) {
    add_columns(feed, graph, read_json_rows(path, column_kinds(graph)));
  } else if (path.ends_with(".npy")) {
    require(graph.inputs.size() == 1, "the model has several inputs: say which one this file is for, name=file.npy", path);
    feed[graph.value(graph.inputs[0]).name] = read_npy(path);
  } else {
    CsvOptions options;
    options.kinds = column_kinds(graph);
    add_columns(feed, graph, read_csv(path, options));
  }
}

}  // namespace

Feed read_inputs(const Graph& graph, const std::vector<std::string>& specs) {
  Feed feed;
  for (const std::string& spec : specs) {
    const size_t equals = spec.find('=');
    if (equals != std::string::npos)
      add_named(feed, graph, spec.substr(0, equals), spec.substr(equals + 1));
    else
      add_file(feed, graph, spec);
  }
  for (ValueId id : graph.inputs)
    require(feed.contains(graph.value(id).name), "no data for an input of the model", graph.value(id).name);
  return feed;
}

std::set<std::string, std::less<>> names_given(const std::vector<std::string>& specs) {
  std::set<std::string, std::less<>> names;
  for (const std::string& spec : specs) {
    const size_t equals = spec.find('=');
    if (equals != std::string::npos)
      names.insert(spec.substr(0, equals));
    else if (spec.ends_with(".npz"))
      for (const auto& entry : read_npz(spec)) names.insert(entry.first);
  }
  return names;
}

}  // namespace tandem
