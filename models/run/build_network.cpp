#include "models/run/build_network.h"

#include <algorithm>
#include <charconv>

#include "models/data/table_dataset.h"
#include "models/nn/feature_encoder.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

ValueId append_input(nn::NetworkBuilder& builder, const RunConfig& config, const Dataset& data, std::span<const int64_t> rows) {
  if (const auto* table = dynamic_cast<const TableDataset*>(&data))
    return nn::encode_features(builder, fit_features(table->table(), rows, config.feature_options()));
  require(data.inputs().size() == 1, "a network takes a table's columns or one array of rows; name the others in data.ignore",
          data.inputs().size());
  const DataInput& input = data.inputs()[0];
  require(input.dtype == DType::kF32, "an array input must be f32 (or images of u8)", input.name, name(input.dtype));
  Dims dims = to_dims(input.shape);
  dims.insert(dims.begin(), Dim("batch"));
  return builder.graph().add_input(input.name, DType::kF32, dims);
}

std::optional<std::vector<int64_t>> whole_numbers(const std::vector<std::string>& names) {
  std::vector<int64_t> numbers;
  for (const std::string& text : names) {
    int64_t number;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    numbers.push_back(number);
  }
  return numbers;
}

// The class with the largest probability, by name.
ValueId append_label(Graph& graph, ValueId probabilities, const std::vector<std::string>& names) {
  const ValueId id = Emitter(graph, "class").op("ArgMax", {probabilities}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}});
  std::vector<int64_t> ids(names.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
  Attributes attributes{{"keys_int64s", ids}};
  if (const auto numbers = whole_numbers(names))
    attributes["values_int64s"] = *numbers;
  else
    attributes["values_strings"] = names;
  return graph.add_node(newest_op("LabelEncoder", "ai.onnx.ml"), {id}, 1, std::move(attributes), "label")[0];
}

}  // namespace

Network build_network(const RunConfig& config, const ModelConfig& model, const Dataset& data,
                      std::span<const int64_t> train_rows) {
  nn::NetworkBuilder builder(static_cast<uint64_t>(config.seed));
  Graph& graph = builder.graph();
  graph.name = model.kind;
  graph.opsets = {{"", kOnnxOpset}, {"ai.onnx.ml", kOnnxMlOpset}};
  const ValueId features = append_input(builder, config, data, train_rows);
  const bool classifies = data.target().kind == TargetKind::kClass;
  const auto outputs = classifies ? static_cast<int64_t>(data.target().class_names.size()) : 1;
  const ValueId scores = append_model(builder, model, features, outputs);
  builder.network().scores = graph.value(scores).name;
  if (classifies) {
    const ValueId probabilities =
        graph.add_node(newest_op("Softmax"), {scores}, 1, {{"axis", int64_t{1}}}, std::string(kProbabilities))[0];
    graph.outputs = {append_label(graph, probabilities, data.target().class_names), probabilities};
  } else {
    graph.outputs = {graph.add_node(newest_op("Identity"), {scores}, 1, {}, std::string(kPrediction))[0]};
  }
  return std::move(builder.network());
}

}  // namespace tandem
