// A table's columns as graph inputs: each of shape [n, 1], numbers as f32, text as strings. Missing stays NaN or "" for the graph
// to impute.
#pragma once

#include "models/data/dataset.h"
#include "models/data/table.h"

namespace tandem {

class TableDataset final : public Dataset {
 public:
  // `table` holds feature columns only. Throws InvalidArgument if it has no columns, or its rows are not the target's.
  TableDataset(Table table, Target target);

  int64_t rows() const override { return table_.rows(); }
  const std::vector<DataInput>& inputs() const override { return inputs_; }
  void gather_into(std::span<const int64_t> rows, size_t input, TensorView out) const override;
  Digest digest(int64_t row) const override;

  const Table& table() const { return table_; }

 private:
  Table table_;
  std::vector<DataInput> inputs_;
};

}  // namespace tandem
