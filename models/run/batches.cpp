#include "models/run/batches.h"

#include <algorithm>

namespace tandem {

const Feed& BatchFeed::fill(std::span<const int64_t> rows) {
  const auto n = static_cast<int64_t>(rows.size());
  for (size_t i = 0; i < data_.inputs().size(); ++i) {
    const DataInput& input = data_.inputs()[i];
    Tensor& tensor = feed_[input.name];
    if (!tensor || tensor.shape()[0] != n) {
      Shape shape{n};
      for (int64_t dim : input.shape.dims()) shape.push_back(dim);
      tensor = Tensor(input.dtype, shape);
    }
    data_.gather_into(rows, i, tensor.view());
  }
  if (with_target_) {
    Tensor label = data_.gather_target(rows);
    feed_["target"] = data_.target().kind == TargetKind::kValue ? label.reshaped({n, 1}) : label;
  }
  return feed_;
}

ModelOutput predict(Executor& executor, const Dataset& data, std::span<const int64_t> rows, std::string_view output,
                    int64_t batch) {
  const Graph& graph = executor.plan().graph;
  const auto at = std::ranges::find(graph.outputs, output, [&](ValueId id) -> std::string_view { return graph.value(id).name; });
  if (at == graph.outputs.end()) fail(ErrorCode::kNotFound, "the graph has no output of this name", {output});
  const auto index = static_cast<size_t>(at - graph.outputs.begin());
  BatchFeed feed(data, false);
  ModelOutput predictions;
  for (size_t first = 0; first < rows.size(); first += static_cast<size_t>(batch)) {
    const auto part = rows.subspan(first, std::min(static_cast<size_t>(batch), rows.size() - first));
    const ConstTensorView result = run_feed(executor, feed.fill(part))[index];
    predictions.columns = result.shape.product(1, result.shape.rank());
    visit_float(result.dtype, [&]<class T>() {
      for (T value : result.as<T>()) predictions.values.push_back(static_cast<double>(value));
    });
  }
  return predictions;
}

}  // namespace tandem
