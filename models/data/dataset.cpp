#include "models/data/dataset.h"

#include <cstring>

#include "kernels/base/error.h"

namespace tandem {

std::vector<Tensor> Dataset::gather(std::span<const int64_t> rows) const {
  check_rows(rows);
  std::vector<Tensor> tensors;
  for (size_t input = 0; input < inputs().size(); ++input) {
    const DataInput& spec = inputs()[input];
    Shape shape{static_cast<int64_t>(rows.size())};
    for (int64_t dim : spec.shape.dims()) shape.push_back(dim);
    Tensor tensor(spec.dtype, shape);
    gather_into(rows, input, tensor.view());
    // A tensor must not outlive the text it shows: copy it with the text.
    tensors.push_back(spec.dtype == DType::kString ? tensor.clone() : std::move(tensor));
  }
  return tensors;
}

Tensor Dataset::gather_target(std::span<const int64_t> rows) const {
  check_rows(rows);
  ensure(target_.kind != TargetKind::kNone, "data set has no target");
  const bool is_class = target_.kind == TargetKind::kClass;
  Tensor tensor(is_class ? DType::kI64 : DType::kF32, {static_cast<int64_t>(rows.size())});
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<size_t>(rows[i]);
    if (is_class)
      tensor.as<int64_t>()[i] = target_.classes[row];
    else
      tensor.as<float>()[i] = target_.values[row];
  }
  return tensor;
}

void Dataset::check_rows(std::span<const int64_t> rows) const {
  for (int64_t row : rows) require(row >= 0 && row < this->rows(), "row does not exist", row, this->rows());
}

void RowContent::add(std::string_view bytes) {
  const uint64_t size = bytes.size();
  content_.append(reinterpret_cast<const char*>(&size), sizeof size).append(bytes);
}

void RowContent::add(double value) {
  // All NaNs mean "missing", -0 equals 0.
  if (value != value) return add(std::string_view("nan"));
  if (value == 0) value = 0;
  add(std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
}

void RowContent::add_target(const Target& target, int64_t row) {
  const auto at = static_cast<size_t>(row);
  if (target.kind == TargetKind::kClass) add(target.class_names[static_cast<size_t>(target.classes[at])]);
  if (target.kind == TargetKind::kValue) add(double{target.values[at]});
}

}  // namespace tandem
