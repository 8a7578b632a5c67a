#include "models/run/manifest.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/graph/limits.h"
#include "runtime/io/file.h"
#include "runtime/onnx/onnx.h"
#include "runtime/passes/pass_manager.h"

namespace tandem {
namespace {

using nlohmann::json;

json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json dims_of(const Dims& dims) {
  json list = json::array();
  for (const Dim& dim : dims) list.push_back(dim.known() ? json(dim.size) : json(dim.symbol.empty() ? "?" : dim.symbol));
  return list;
}

json signature(const Graph& graph, const std::vector<ValueId>& ids) {
  json list = json::array();
  for (ValueId id : ids) {
    const Value& value = graph.value(id);
    list.push_back({{"name", value.name},
                    {"dtype", name(value.type.dtype)},
                    {"shape", value.type.dims ? dims_of(*value.type.dims) : json()}});
  }
  return list;
}

json tensor(const ConstTensorView& view) {
  json values = json::array();
  visit_any(view.dtype, [&]<class T>() {
    for (const T& value : view.as<T>()) {
      if constexpr (std::is_floating_point_v<T>)
        values.push_back(number(static_cast<double>(value)));
      else
        values.push_back(value);
    }
  });
  return {{"dtype", name(view.dtype)},
          {"shape", std::vector<int64_t>(view.shape.dims().begin(), view.shape.dims().end())},
          {"data", values}};
}

json golden_samples(const Graph& model, const Feed& inputs) {
  Graph graph = model;
  run_passes(graph);
  Executor executor(make_plan(graph, {}));
  const auto outputs = run_feed(executor, inputs);
  json sample{{"inputs", json::object()}, {"outputs", json::object()}};
  for (const auto& [input, content] : inputs) sample["inputs"][input] = tensor(content.view());
  for (size_t i = 0; i < outputs.size(); ++i) sample["outputs"][graph.value(graph.outputs[i]).name] = tensor(outputs[i]);
  return sample;
}

json metrics_of(const std::vector<Metric>& metrics) {
  json out = json::object();
  for (const Metric& metric : metrics)
    out[metric.name] = {{"value", number(metric.value)}, {"low", number(metric.low)}, {"high", number(metric.high)}};
  return out;
}

}  // namespace

std::vector<std::string> read_class_names(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  try {
    return json::parse(read_file(path, Limits{}.text_file_bytes)).at("class_names").get<std::vector<std::string>>();
  } catch (const json::exception& error) {
    fail(ErrorCode::kInvalidArgument, "not a manifest", {path.string(), error.what()});
  }
}

void write_manifest(const std::filesystem::path& path, const std::filesystem::path& model, const ManifestFacts& facts) {
  const Graph graph = load_onnx(model);
  json manifest{
      {"format", "tandem-manifest-1"},
      {"model",
       {{"file", model.filename().string()}, {"sha256", sha256_file(model)}, {"bytes", std::filesystem::file_size(model)}}},
      {"signature", {{"inputs", signature(graph, graph.inputs)}, {"outputs", signature(graph, graph.outputs)}}},
      {"class_names", facts.class_names},
      {"test", {{"rows", facts.test_rows}, {"confidence", 0.95}}},
      {"lineage", facts.lineage},
      {"golden", golden_samples(graph, facts.golden_inputs)}};
  for (const auto& [contestant, metrics] : facts.metrics) manifest["metrics"][contestant] = metrics_of(metrics);
  write_file(path, manifest.dump(1) + "\n");
}

}  // namespace tandem
