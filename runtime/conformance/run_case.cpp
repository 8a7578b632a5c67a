#include "runtime/conformance/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

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

// The session of a case: one for all data sets with equally many inputs, so it must allow the largest of their shapes.
class Session {
 public:
  Session(const TestCase& test, size_t first, const CaseOptions& options) : first_(first) {
    const std::vector<std::string> listed = onnx_input_names(read_file(test.model, Limits{}.model_bytes));
    const size_t given = std::min(test.data_sets[first].inputs.size(), listed.size());
    graph_ = load_onnx(test.model, {}, NameSet(listed.begin(), listed.begin() + static_cast<ptrdiff_t>(given)));
    run_passes(graph_, {.disabled = options.disabled_passes});
    PlanOptions plan{.threads = options.threads, .disabled_passes = options.disabled_passes};
    for (size_t i = first; i < test.data_sets.size() && test.data_sets[i].inputs.size() == test.data_sets[first].inputs.size(); ++i) {
      inputs_.push_back(read_inputs(graph_, test.data_sets[i], listed));
      for (const auto& [symbol, size] : bounds_of(graph_, shapes_of(inputs_.back()))) plan.bounds[symbol] = std::max(plan.bounds[symbol], size);
    }
    executor_.emplace(make_plan(graph_, plan));
  }

  const Graph& graph() const { return graph_; }
  bool serves(size_t data_set) const { return data_set < first_ + inputs_.size(); }
  std::vector<RunValue> run(size_t data_set) { return executor_->run_values(inputs_[data_set - first_]); }

 private:
  size_t first_;
  Graph graph_;
  std::vector<std::vector<RunValue>> inputs_;  // of the data sets from first_ on
  std::optional<Executor> executor_;
};

// What is wrong with the outputs for this data set; "" if nothing is. `l2` becomes the largest distance.
std::string compare_outputs(const Graph& graph, const std::vector<RunValue>& got, const DataSet& data, bool random, const Tolerance& tolerance,
                            double& l2) {
  for (size_t i = 0; i < got.size(); ++i) {
    const Value& output = graph.value(graph.outputs[i]);
    const RunValue expected = read_value(data.outputs[i], output.type);
    std::string text = difference_of_type(got[i], expected);
    if (text.empty() && !random) {
      l2 = std::max(l2, relative_l2(got[i], expected));
      text = difference(got[i], expected, tolerance);
    }
    if (!text.empty()) return fmt::format("output '{}': {}", output.name, text);
  }
  return "";
}

CaseResult run_all_sets(const TestCase& test, const KnownCase& known, const CaseOptions& options) {
  if (test.model.empty()) return {CaseStatus::kSkipped, "its model is not here: data.json only says where it is to be had"};
  if (test.data_sets.empty()) return {CaseStatus::kSkipped, "there is no data set beside the model"};
  const Tolerance tolerance{known.relative.value_or(test.tolerance.relative), known.absolute.value_or(test.tolerance.absolute),
                            options.l2 ? options.l2 : test.tolerance.l2};
  CaseResult result{CaseStatus::kPassed, ""};
  std::optional<Session> session;
  for (size_t i = 0; i < test.data_sets.size(); ++i) {
    if (!session || !session->serves(i)) session.emplace(test, i, options);
    const DataSet& data = test.data_sets[i];
    require(data.outputs.size() == session->graph().outputs.size(), "the data set has another number of outputs than the model (has, model)",
            data.outputs.size(), session->graph().outputs.size());
    const std::string text = compare_outputs(session->graph(), session->run(i), data, known.random, tolerance, result.l2);
    if (text.empty()) continue;
    return {CaseStatus::kFailed, test.data_sets.size() > 1 ? fmt::format("data set {}: {}", i, text) : text, result.l2};
  }
  if (known.random) return {CaseStatus::kSkipped, known.reason};
  return result;
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
