#include "models/data/table_dataset.h"

#include "kernels/base/error.h"

namespace tandem {

TableDataset::TableDataset(Table table, Target target) : Dataset(std::move(target)), table_(std::move(table)) {
  require(!table_.columns().empty(), "table has no feature columns");
  const Target& t = this->target();
  const size_t labelled = t.kind == TargetKind::kClass ? t.classes.size() : t.values.size();
  require(t.kind == TargetKind::kNone || static_cast<int64_t>(labelled) == rows(), "labels and rows differ in number", labelled,
          rows());
  for (const Column& column : table_.columns())
    inputs_.push_back({column.name, column.kind == ColumnKind::kNumeric ? DType::kF32 : DType::kString, {1}});
}

void TableDataset::gather_into(std::span<const int64_t> rows, size_t input, TensorView out) const {
  ensure(out.elements() == static_cast<int64_t>(rows.size()), "view does not fit the rows", out.elements(), rows.size());
  const Column& column = table_.columns()[input];
  if (column.kind == ColumnKind::kNumeric) {
    const std::span<float> to = out.as<float>();
    for (size_t i = 0; i < rows.size(); ++i) to[i] = static_cast<float>(column.numbers[static_cast<size_t>(rows[i])]);
  } else {
    const std::span<std::string_view> to = out.as<std::string_view>();
    for (size_t i = 0; i < rows.size(); ++i) to[i] = column.text[static_cast<size_t>(rows[i])];
  }
}

Digest TableDataset::digest(int64_t row) const {
  RowContent content;
  for (const Column& column : table_.columns()) {
    const auto at = static_cast<size_t>(row);
    if (column.kind == ColumnKind::kNumeric)
      content.add(column.numbers[at]);
    else
      content.add(std::string_view(column.text[at]));
  }
  content.add_target(target(), row);
  return content.digest();
}

}  // namespace tandem
