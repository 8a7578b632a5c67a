#include "runtime/conformance/run_case.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/exec/executor.h"
#include "runtime/graph/limits.h"
#include "runtime/io/file.h"
#include "runtime/onnx/onnx.h"
#include "runtime/onnx/test_data.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/plan/shapes.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

RunValue read_value(const fs::path& path, const TensorType& type) {
  try {
    return parse_onnx_value(read_file(path, Limits{}.model_bytes), type);
  } catch (const Error& error) {
    throw Error(error.code(), path.filename().string() + ": " + error.what());
  }
}

// Element i of n is i/n.
RunValue generated_input(const Value& input) {
  const auto shape = input.type.dims ? fixed_shape(*input.type.dims) : std::nullopt;
  require(shape && input.type.dtype == DType::kF32, "inputs are generated for models with f32 inputs of fixed shapes (input)", input.name);
  Tensor tensor(DType::kF32, *shape);
  const auto count = static_cast<float>(tensor.elements());
  for (float i = 0; float& element : tensor.as<float>()) element = i++ / count;
  return RunValue::of(std::move(tensor));
}

// Files are numbered by the inputs that the model lists; those of the graph are some of them, in the same order.
std::vector<RunValue> read_inputs(const Graph& graph, const DataSet& data, const std::vector<std::string>& listed) {
  std::vector<RunValue> inputs;
  size_t at = 0;
  for (ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    while (listed.at(at) != input.name) ++at;
    require(data.generated || at < data.inputs.size(), "the data set has no file for an input (index, name)", at, input.name);
    inputs.push_back(data.generated ? generated_input(input) : read_value(data.inputs[at], input.type));
  }
  return inputs;
}

std::vector<Shape> shapes_of(const std::vector<RunValue>& inputs) {
  std::vector<Shape> shapes;
  for (const RunValue& input : inputs) shapes.push_back(input.tensor.shape());
  return shapes;
}

// What is wrong with this data set; "" if nothing is.
std::string run_data_set(const DataSet& data, const TestCase& test, const KnownCase& known, const CaseOptions& options) {
  const std::vector<std::string> listed = onnx_input_names(read_file(test.model, Limits{}.model_bytes));
  const size_t given = std::min(data.inputs.size(), listed.size());
  Graph graph = load_onnx(test.model, {}, NameSet(listed.begin(), listed.begin() + static_cast<ptrdiff_t>(given)));
  run_passes(graph, {.disabled = options.disabled_passes});
  require(data.outputs.size() == graph.outputs.size(), "the data set has another number of outputs than the model (has, model)",
          data.outputs.size(), graph.outputs.size());
  const std::vector<RunValue> inputs = read_inputs(graph, data, listed);
  Executor executor(make_plan(graph, {.threads = options.threads, .bounds = bounds_of(graph, shapes_of(inputs))}));
  const std::vector<RunValue> got = executor.run_values(inputs);
  const Tolerance tolerance{known.relative.value_or(test.tolerance.relative), known.absolute.value_or(test.tolerance.absolute)};
  for (size_t i = 0; i < got.size(); ++i) {
    const Value& output = graph.value(graph.outputs[i]);
    const RunValue expected = read_value(data.outputs[i], output.type);
    const std::string text = known.random ? difference_of_type(got[i], expected) : difference(got[i], expected, tolerance);
    if (!text.empty()) return fmt::format("output '{}': {}", output.name, text);
  }
  return "";
}

CaseResult run_all_sets(const TestCase& test, const KnownCase& known, const CaseOptions& options) {
  if (test.model.empty()) return {CaseStatus::kSkipped, "its model is not here: data.json only says where it is to be had"};
  if (test.data_sets.empty()) return {CaseStatus::kSkipped, "there is no data set beside the model"};
  for (size_t i = 0; i < test.data_sets.size(); ++i) {
    const std::string text = run_data_set(test.data_sets[i], test, known, options);
    if (!text.empty()) return {CaseStatus::kFailed, test.data_sets.size() > 1 ? fmt::format("data set {}: {}", i, text) : text};
  }
  if (known.random) return {CaseStatus::kSkipped, known.reason};
  return {CaseStatus::kPassed, ""};
}

// The one op of a model; "" if it has several.
std::string single_op(const fs::path& model) {
  std::vector<std::string> ops = onnx_op_names(read_file(model, Limits{}.model_bytes));
  std::erase(ops, "Constant");
  return ops.size() == 1 ? ops[0] : "";
}

}  // namespace

CaseResult run_case(const TestCase& test, const KnownCase& known, const CaseOptions& options) {
  try {
    return run_all_sets(test, known, options);
  } catch (const Error& error) {
    return {CaseStatus::kFailed, error.what()};
  } catch (const std::exception& error) {
    return {CaseStatus::kFailed, fmt::format("defect: {}", error.what())};
  }
}

std::string op_of_case(const TestCase& test) {
  const std::string fallback = "(" + test.kind + ")";
  try {
    if (test.model.empty()) return fallback;
    std::string op = single_op(test.model);
    const size_t expansion = test.name.find("_expanded");
    const fs::path base = test.model.parent_path().parent_path() / test.name.substr(0, expansion) / "model.onnx";
    if (expansion != std::string::npos && fs::exists(base)) op = single_op(base);
    return op.empty() ? fallback : op;
  } catch (const std::exception&) {
    return fallback;  // running it tells what is wrong
  }
}

}  // namespace tandem
