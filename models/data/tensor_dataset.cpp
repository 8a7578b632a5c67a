#include "models/data/tensor_dataset.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/error.h"

namespace tandem {
namespace {

Shape row_shape(const Tensor& tensor) { return Shape(tensor.shape().dims().subspan(1)); }

template <class From>
void gather_scaled(const Tensor& from, std::span<const int64_t> rows, float scale, std::span<float> to) {
  const std::span<const From> values = from.as<From>();
  const size_t width = static_cast<size_t>(row_shape(from).elements());
  for (size_t i = 0; i < rows.size(); ++i) {
    const From* row = values.data() + static_cast<size_t>(rows[i]) * width;
    for (size_t k = 0; k < width; ++k) to[i * width + k] = static_cast<float>(row[k]) * scale;
  }
}

}  // namespace

TensorDataset::TensorDataset(std::vector<DataArray> arrays, Target target)
    : Dataset(std::move(target)), arrays_(std::move(arrays)) {
  require(!arrays_.empty(), "data set has no arrays");
  for (const DataArray& array : arrays_) {
    require(array.values.shape().rank() >= 1, "array has no row dimension", array.name);
    const bool scaled = array.values.dtype() == DType::kU8 || array.values.dtype() == DType::kF32;
    require(scaled || array.scale == 1, "only u8 and f32 arrays can be scaled", array.name, name(array.values.dtype()));
    inputs_.push_back({array.name, scaled ? DType::kF32 : array.values.dtype(), row_shape(array.values)});
    const int64_t rows = array.values.shape()[0], expected = arrays_.front().values.shape()[0];
    require(rows == expected, "arrays differ in rows", array.name, rows, expected);
    rows_ = rows;
  }
  const Target& t = this->target();
  const size_t labelled = t.kind == TargetKind::kClass ? t.classes.size() : t.values.size();
  require(t.kind == TargetKind::kNone || static_cast<int64_t>(labelled) == rows_, "labels and rows differ in number", labelled,
          rows_);
}

void TensorDataset::gather_into(std::span<const int64_t> rows, size_t input, TensorView out) const {
  const DataArray& array = arrays_[input];
  const int64_t expected = static_cast<int64_t>(rows.size()) * inputs_[input].shape.elements();
  ensure(out.elements() == expected && out.dtype == inputs_[input].dtype, "view does not fit the rows", out.elements(), expected);
  if (array.values.dtype() == DType::kU8) return gather_scaled<uint8_t>(array.values, rows, array.scale, out.as<float>());
  if (array.values.dtype() == DType::kF32) return gather_scaled<float>(array.values, rows, array.scale, out.as<float>());
  const size_t width = static_cast<size_t>(inputs_[input].shape.elements()) * size_of(out.dtype);
  for (size_t i = 0; i < rows.size() && width > 0; ++i)
    std::memcpy(out.data + i * width, array.values.view().data + static_cast<size_t>(rows[i]) * width, width);
}

Digest TensorDataset::digest(int64_t row) const {
  RowContent content;
  for (const DataArray& array : arrays_) {
    const size_t width = array.values.bytes() / static_cast<size_t>(std::max<int64_t>(rows_, 1));
    const std::byte* bytes = array.values.view().data + static_cast<size_t>(row) * width;
    if (array.values.dtype() != DType::kString) {
      content.add(std::string_view(reinterpret_cast<const char*>(bytes), width));
      continue;
    }
    const size_t count = width / sizeof(std::string_view);
    for (std::string_view text : array.values.as<std::string_view>().subspan(static_cast<size_t>(row) * count, count))
      content.add(text);
  }
  content.add_target(target(), row);
  return content.digest();
}

Tensor pack_columns(const Table& table, const Shape& row_shape) {
  const auto width = static_cast<int64_t>(table.columns().size());
  require(row_shape.elements() == width, "columns do not fill the row shape", width, to_string(row_shape));
  Shape shape{table.rows()};
  for (int64_t dim : row_shape.dims()) shape.push_back(dim);
  Tensor packed(DType::kF32, shape);
  const std::span<float> to = packed.as<float>();
  for (size_t c = 0; c < table.columns().size(); ++c) {
    const Column& column = table.columns()[c];
    require(column.kind == ColumnKind::kNumeric, "a packed column must hold numbers", column.name);
    for (size_t row = 0; row < column.numbers.size(); ++row) {
      require(std::isfinite(column.numbers[row]), "a packed column must have no missing values", column.name,
              "row " + std::to_string(row + 1));
      to[row * table.columns().size() + c] = static_cast<float>(column.numbers[row]);
    }
  }
  return packed;
}

}  // namespace tandem
