// `tandem compare`: two models, a model with and without the passes, or a model and what another runtime computed, tensor by
// tensor.
#include <fmt/format.h>

#include <array>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "models/run/read_inputs.h"
#include "models/run/tensor_dump.h"
#include "runtime/conformance/compare_traces.h"
#include "runtime/model/open_model.h"
#include "runtime/passes/pass_manager.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem compare A.onnx B.onnx | A.onnx --against DIR | A.onnx --passes",
    "Runs A and the other on the same inputs, compares all tensors that bear the same name in the order in which A makes them, "
    "and marks the\n"
    "first that differs: |a - b| > atol + rtol * |b|, or another type or shape. Without --input the inputs are random. Nothing "
    "is optimized but\n"
    "by --passes, and all tensors are held at once. The exit code is 1 if any tensor differs.",
    "  tandem compare before.onnx after.onnx                           two models\n"
    "  tandem compare a.onnx b.onnx --input x=rows.npy --verbose       on given inputs; a line for every tensor\n"
    "  tandem compare model.onnx --passes                              what the passes make of it, against it as it is\n"
    "  tandem compare model.onnx --against dump                        tensors of another runtime: dump/NAME.npy "
    "(docs/compare.md)\n"
    "  tandem compare a.onnx b.onnx --size batch=3 --seed 7 --json     random inputs of another size; one object\n"};
constexpr int64_t kShownBefore = 3, kShownAfter = 8;  // around the first that differs, without --verbose

struct Options {
  std::vector<std::string> files, inputs, sizes, disabled;
  std::string against;
  bool passes = false, json = false, verbose = false;
  int threads = 1;
  uint64_t seed = 0;
  Tolerance tolerance{1e-3, 1e-5};
};

Sizes sizes_of(const std::vector<std::string>& specs) {
  Sizes sizes;
  for (const std::string& spec : specs) {
    const size_t at = spec.find('=');
    require(at != std::string::npos && at > 0, "--size takes NAME=NUMBER", spec);
    try {
      sizes[spec.substr(0, at)] = std::stoll(spec.substr(at + 1));
    } catch (const std::exception&) {
      fail(ErrorCode::kInvalidArgument, "--size takes NAME=NUMBER", {spec});
    }
    require(sizes[spec.substr(0, at)] >= 0, "a size cannot be negative", spec);
  }
  return sizes;
}

std::vector<RunValue> inputs_of(const Graph& graph, const Options& options) {
  if (options.inputs.empty()) return random_inputs(graph, options.seed, sizes_of(options.sizes));
  const Feed feed = read_inputs(graph, options.inputs);
  std::vector<RunValue> inputs;
  for (const ValueId id : graph.inputs) inputs.push_back(RunValue::of(feed.at(graph.value(id).name)));
  return inputs;
}

// Those of A by name; where B has another name for an input, the one at the same place.
std::vector<RunValue> inputs_for(const Graph& b, const Graph& a, const std::vector<RunValue>& inputs) {
  require(a.inputs.size() == b.inputs.size(), "the models have different numbers of inputs", a.inputs.size(), b.inputs.size());
  std::vector<RunValue> chosen;
  for (size_t i = 0; i < inputs.size(); ++i) {
    size_t from = i;
    for (size_t k = 0; k < inputs.size(); ++k)
      if (a.value(a.inputs[k]).name == b.value(b.inputs[i]).name) from = k;
    chosen.push_back(inputs[from]);
  }
  return chosen;
}

// Outputs are compared by place where their names differ.
std::map<std::string, std::string> output_names(const Graph& a, const Graph& b) {
  std::map<std::string, std::string> names;
  for (size_t i = 0; i < std::min(a.outputs.size(), b.outputs.size()); ++i)
    names[a.value(a.outputs[i]).name] = b.value(b.outputs[i]).name;
  return names;
}

TraceComparison compare_graphs(const Graph& a, const Graph& b, const std::vector<RunValue>& inputs, const Options& options) {
  std::map<std::string, RunValue, std::less<>> expected;
  for (TracedValue& traced : trace(b, inputs_for(b, a, inputs), options.threads)) expected[traced.name] = std::move(traced.value);
  const auto renamed = output_names(a, b);
  return compare_traces(
      trace(a, inputs, options.threads),
      [&](const std::string& name) {
        auto found = expected.find(name);
        if (const auto other = renamed.find(name); found == expected.end() && other != renamed.end())
          found = expected.find(other->second);
        return found == expected.end() ? nullptr : &found->second;
      },
      options.tolerance);
}

// The inputs, too, may lie in the folder.
TraceComparison compare_with_dump(const Graph& graph, const Options& options) {
  std::map<std::string, RunValue, std::less<>> dump;
  for (auto& [name, tensor] : read_tensor_dump(options.against)) dump[name] = RunValue::of(tensor);
  std::vector<RunValue> inputs;
  for (const ValueId id : graph.inputs)
    if (const auto found = dump.find(graph.value(id).name); found != dump.end()) inputs.push_back(found->second);
  if (!options.inputs.empty()) inputs = inputs_of(graph, options);
  require(inputs.size() == graph.inputs.size(), "the folder lacks inputs of the model, and --input gives none (has, inputs)",
          inputs.size(), graph.inputs.size());
  return compare_traces(
      trace(graph, inputs, options.threads),
      [&](const std::string& name) {
        const auto found = dump.find(name);
        return found == dump.end() ? nullptr : &found->second;
      },
      options.tolerance);
}

TraceComparison compare(const Options& options) {
  Graph graph = open_model(options.files[0], {.given = names_given(options.inputs), .optimize = false}).graph;
  if (!options.against.empty()) return compare_with_dump(graph, options);
  const std::vector<RunValue> inputs = inputs_of(graph, options);
  if (!options.passes)
    return compare_graphs(graph, open_model(options.files[1], {.given = names_given(options.inputs), .optimize = false}).graph, inputs, options);
  const Graph plain = graph;
  run_passes(graph, {.disabled = {options.disabled.begin(), options.disabled.end()}});
  return compare_graphs(graph, plain, inputs, options);
}

using Row = std::array<std::string, 7>;

// Columns as wide as their widest cell.
void print_rows(const std::vector<Row>& rows) {
  std::array<size_t, std::tuple_size_v<Row>> widths{};
  for (const Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

// The lines about the first that differs, or all of them.
void print_table(const TraceComparison& comparison, bool verbose) {
  const auto count = static_cast<int64_t>(comparison.values.size());
  const bool differs = comparison.first >= 0;
  const int64_t from = verbose || !differs ? 0 : std::max<int64_t>(0, comparison.first - kShownBefore);
  const int64_t to = verbose ? count : differs ? std::min(count, comparison.first + kShownAfter) : 0;
  std::vector<Row> rows;
  if (to > from) rows.push_back({"", "tensor", "node", "op", "type", "max abs", "rel L2"});
  for (int64_t i = from; i < to; ++i) {
    const ComparedValue& value = comparison.values[static_cast<size_t>(i)];
    rows.push_back({i == comparison.first      ? "-->"
                    : value.difference.empty() ? ""
                                               : "  *",
                    value.name, value.node, value.op, value.type, fmt::format("{:.2g}", value.largest),
                    fmt::format("{:.2g}", value.l2)});
  }
  print_rows(rows);
  if (to > from && to - from < count) fmt::print("{} before and {} after these; --verbose shows all\n", from, count - to);
  if (!differs) return fmt::print("{} tensors compared, none differs\n", count);
  const ComparedValue& first = comparison.values[static_cast<size_t>(comparison.first)];
  fmt::print("{} of {} tensors differ, first '{}' of {} (node '{}'): {}\n", comparison.diverging, count, first.name, first.op,
             first.node, first.difference);
}

void print_json(const TraceComparison& comparison) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const ComparedValue& value : comparison.values) {
    tensors.push_back({{"name", value.name},
                       {"node", value.node},
                       {"op", value.op},
                       {"type", value.type},
                       {"max_abs", value.largest},
                       {"l2", value.l2}});
    if (!value.difference.empty()) tensors.back()["difference"] = value.difference;
  }
  const nlohmann::json first = comparison.first < 0 ? nlohmann::json() : tensors[static_cast<size_t>(comparison.first)];
  std::cout << json_line({{"compared", comparison.values.size()},
                          {"differ", comparison.diverging},
                          {"first", first},
                          {"tensors", tensors}})
            << "\n";
}

}  // namespace

int compare_command(int argc, char** argv) {
  po::options_description options("options");
  Options chosen;
  options.add_options()("model", po::value(&chosen.files), "the models (also as plain words)")(
      "against", po::value(&chosen.against), "a folder of tensors that another runtime computed: NAME.npy or NAME.pb")(
      "passes", po::bool_switch(&chosen.passes), "the model after the passes against the model before them")(
      "disable-pass", po::value(&chosen.disabled), "with --passes: leave a pass out")(
      "input,i", po::value(&chosen.inputs)->composing(), "data, as for `tandem run`; may be repeated")(
      "size", po::value(&chosen.sizes), "NAME=NUMBER: the size of a symbolic dimension in random inputs (default 2)")(
      "seed", po::value(&chosen.seed)->default_value(0), "of random inputs")(
      "rtol", po::value(&chosen.tolerance.relative)->default_value(1e-3), "relative tolerance")(
      "atol", po::value(&chosen.tolerance.absolute)->default_value(1e-5), "absolute tolerance")(
      "threads", po::value(&chosen.threads)->default_value(1), "threads of each run")(
      "verbose,v", po::bool_switch(&chosen.verbose), "a line for every tensor");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "model", values)) return kOk;
  const bool alone = chosen.passes || !chosen.against.empty();
  require(chosen.files.size() == (alone ? 1 : 2) && !(chosen.passes && !chosen.against.empty()),
          "two models are compared, or one by --passes or --against; usage: " + kUsageText.line);
  require(chosen.threads >= 1 && chosen.threads <= kMostThreads, fmt::format("--threads must lie in [1, {}]", kMostThreads),
          chosen.threads);
  const TraceComparison comparison = compare(chosen);
  require(!comparison.values.empty(), "there is no tensor of the same name on both sides");
  if (values.contains("json"))
    print_json(comparison);
  else
    print_table(comparison, chosen.verbose);
  return comparison.diverging ? kInternalError : kOk;
}

}  // namespace tandem::cli
