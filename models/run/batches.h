// Rows of a data set as feeds of a graph, and a model's outputs over many rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/data/dataset.h"
#include "runtime/train/trainer.h"

namespace tandem {

// One feed that is filled again and again; its tensors are kept as long as the number of rows stays.
class BatchFeed {
 public:
  BatchFeed(const Dataset& data, bool with_target) : data_(data), with_target_(with_target) {}
  // Inputs of these rows, and "target": i64 [n] class ids, or f32 [n, 1] values.
  const Feed& fill(std::span<const int64_t> rows);

 private:
  const Dataset& data_;
  bool with_target_;
  Feed feed_;
};

// Output `output` of the executor's graph over `rows`, batch by batch: [rows.size() * columns] in row order, columns from the
// output's shape.
struct ModelOutput {
  int64_t columns = 0;
  std::vector<double> values;
};
ModelOutput predict(Executor& executor, const Dataset& data, std::span<const int64_t> rows, std::string_view output,
                    int64_t batch);

}  // namespace tandem
