// Whole tensors as graph inputs, one row per index of their first dimension: images (u8 kept, scaled to f32 on the way out),
// arrays of a .npz file, tables packed into one array.
#pragma once

#include <utility>

#include "models/data/dataset.h"
#include "models/data/table.h"

namespace tandem {

// u8 is always given as f32 times `scale`; f32 is multiplied by it; other types are given as they are and need scale 1.
struct DataArray {
  std::string name;
  Tensor values;  // [rows, ...]
  float scale = 1;
};

class TensorDataset final : public Dataset {
 public:
  // Throws InvalidArgument if an array differs in rows from the others or the target, or there is none.
  TensorDataset(std::vector<DataArray> arrays, Target target);

  int64_t rows() const override { return rows_; }
  const std::vector<DataInput>& inputs() const override { return inputs_; }
  void gather_into(std::span<const int64_t> rows, size_t input, TensorView out) const override;
  Digest digest(int64_t row) const override;

 private:
  std::vector<DataArray> arrays_;
  std::vector<DataInput> inputs_;
  int64_t rows_ = 0;
};

// The columns of a table, all numbers and none missing, as one f32 tensor [rows, ...row_shape]. Throws InvalidArgument naming the
// column.
Tensor pack_columns(const Table& table, const Shape& row_shape);

}  // namespace tandem
