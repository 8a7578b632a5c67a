#include "models/run/training_sample.h"

#include <algorithm>
#include <numeric>

#include "models/run/batches.h"
#include "models/run/build_network.h"
#include "models/run/read_inputs.h"
#include "runtime/exec/sample_inputs.h"
#include "runtime/onnx/onnx.h"

namespace tandem {
namespace {

// What a feed is for: the step's inputs but the counter, which the trainer feeds.
Graph inputs_to_feed(const Network& network, const StepConfig& step) {
  Graph graph = build_step(network, step).update;
  std::erase_if(graph.inputs, [&](ValueId id) { return graph.value(id).name == "micro_batch"; });
  return graph;
}

// Floats and indices as for any model; classes in turn.
Feed made_up_feed(const Graph& graph, const Network& network, int64_t batch) {
  std::map<std::string, int64_t, std::less<>> sizes;
  for (ValueId id : graph.inputs) {
    const Dims& dims = *graph.value(id).type.dims;
    for (size_t axis = 0; axis < dims.size(); ++axis)
      if (!dims[axis].known())
        sizes[dims[axis].symbol.empty() ? graph.value(id).name + "." + std::to_string(axis) : dims[axis].symbol] = batch;
  }
  Feed feed = sample_inputs(graph, sizes);
  const Dims& scores = *network.graph.value(network.graph.find(network.scores)).type.dims;
  if (Tensor& target = feed.at("target"); target.dtype() == DType::kI64 && scores.back().known())
    for (size_t i = 0; i < target.as<int64_t>().size(); ++i)
      target.as<int64_t>()[i] = static_cast<int64_t>(i) % scores.back().size;
  return feed;
}

int64_t rows_of(const Feed& feed) {
  const Shape& shape = feed.at("target").shape();
  return shape.rank() > 0 ? shape[0] : 1;
}

}  // namespace

TrainingSample sample_of_config(const RunConfig& config, int64_t batch) {
  const LoadedData data = load_dataset(config.data_config());
  const Split split = split_rows(*data.train, config.split_options());
  TrainingSample sample;
  sample.batch = batch > 0 ? batch : config.batch_size;
  require(sample.batch <= static_cast<int64_t>(split.train.size()), "the batch is larger than the training part (rows of each)",
          sample.batch, split.train.size());
  sample.network = build_network(config, config.model, *data.train, split.train);
  sample.step = config.step_config(1, static_cast<int64_t>(split.train.size()) / sample.batch);
  sample.step.accumulate = 1;
  BatchFeed rows(*data.train, true);
  for (const auto& [name, tensor] : rows.fill(std::span(split.train).first(static_cast<size_t>(sample.batch)))) sample.feed.emplace(name, tensor.clone());
  return sample;
}

TrainingSample sample_of_model(const ModelToTrain& model) {
  TrainingSample sample;
  sample.network = network_of(load_onnx(model.file), model.network);
  sample.step = model.step;
  const Graph graph = inputs_to_feed(sample.network, sample.step);
  sample.feed = model.inputs.empty() ? made_up_feed(graph, sample.network, std::max<int64_t>(1, model.batch))
                                     : read_inputs(graph, model.inputs);
  sample.batch = rows_of(sample.feed);
  return sample;
}

}  // namespace tandem
