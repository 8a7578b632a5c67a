// Matrix products and convolutions of 8-bit integers with i32 results, and what turns those into the values they stand for.
//
// Operands are u8 or i8, each of its own type; sums are exact in i32 and wrap beyond. A zero point is null (0) or of its
// operand's type.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/conv.h"
#include "kernels/api/integer_gemm.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// i32 values seen as [rows, columns], and the scales they carry: value (i, j) stands for itself times rows[i % row_count] times
// columns[i / rows_of_matrix * columns of a matrix + j], or times columns[0] if there is only one.
struct ProductScales {
  const float* rows = nullptr;
  int64_t row_count = 1;
  const float* columns = nullptr;
  int64_t column_count = 1;
  int64_t rows_of_matrix = 1;
};

}  // namespace tandem

namespace tandem::cpu {

// NumPy's matmul. a_zero has one element, one a row (a's last but one axis), or one a row of every matrix; b_zero the same for
// columns. y is i32 or, with `scales` (one a column of b, or one), a quantized type. `packed_b`: b's columns, if b is one matrix.
size_t quantized_matmul_workspace_bytes(const Shape& a, const Shape& b, bool b_is_packed);
void quantized_matmul(const KernelContext&, ConstTensorView a, ConstTensorView a_zero, ConstTensorView b, ConstTensorView b_zero,
                      TensorView y, const OutputScales* scales = nullptr, const PackedIntegers* packed_b = nullptr);

// Convolution; padding counts as x's zero point, of which there is one. w_zero has one element, or one a filter. y is i32 or,
// with `scales` (one a filter, or one), a quantized type.
size_t integer_conv_workspace_bytes(const ConvGeometry&, int threads);
size_t integer_conv_filter_bytes(const ConvGeometry&);  // more, if the filters are not packed
PackedWeight pack_integer_filters(const ConvGeometry&, ConstTensorView w, ConstTensorView w_zero);
void integer_conv(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView x_zero,
                  const PackedIntegers& filters, TensorView y, const OutputScales* scales = nullptr);
void integer_conv(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView x_zero, ConstTensorView w,
                  ConstTensorView w_zero, TensorView y, const OutputScales* scales = nullptr);

// y (u8 or i8) by the definition of kernels/api/requantize.h, where rows have scales of their own; x has y's elements as [rows,
// columns].
void requantize(const KernelContext&, const int32_t* x, int64_t rows, int64_t columns, const ProductScales& scales, float y_scale,
                int32_t y_zero, TensorView y);
// y (f32) = x * scales + bias. `bias`: null or f32, one a column.
void scale_products(const KernelContext&, const int32_t* x, int64_t rows, int64_t columns, const ProductScales& scales,
                    ConstTensorView bias, TensorView y);

}  // namespace tandem::cpu
