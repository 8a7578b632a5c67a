// The input of a classical model as rows of f32: as it is, or converted into the workspace.
#pragma once

#include "kernels/base/checked.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

class F32Rows {
 public:
  struct View {
    const float* data;
    int64_t rows, columns;
    KernelContext rest;  // with what is left of the workspace
  };

  // For inputs of at most this shape: a matrix, or one row.
  F32Rows(DType dtype, const Shape& shape)
      : converts_(dtype != DType::kF32), rows_(rows_of(shape)), columns_(shape[shape.rank() - 1]) {}

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  // Of workspace, at its start.
  size_t bytes() const {
    return converts_ ? static_cast<size_t>(
                           round_up(checked_mul(checked_mul(rows_, columns_, "features"), sizeof(float), "features"), 64))
                     : 0;
  }

  // f32, f64, i32 or i64.
  View read(const KernelContext& context, ConstTensorView x) const {
    KernelContext rest = context;
    const int64_t rows = rows_of(x.shape);
    if (!converts_) return {x.as<float>().data(), rows, columns_, rest};
    ensure(context.workspace.size() >= bytes(), "workspace is too small", context.workspace.size());
    auto* converted = reinterpret_cast<float*>(context.workspace.data());
    visit_number(x.dtype, [&]<class T>() {
      const auto values = x.as<T>();
      for (size_t i = 0; i < values.size(); ++i) converted[i] = static_cast<float>(values[i]);
    });
    rest.workspace = context.workspace.subspan(bytes());
    return {converted, rows, columns_, rest};
  }

 private:
  static int64_t rows_of(const Shape& shape) { return shape.rank() < 2 ? 1 : shape[0]; }

  bool converts_;
  int64_t rows_, columns_;
};

}  // namespace tandem
