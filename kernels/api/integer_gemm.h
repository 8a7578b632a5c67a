// Products of 8-bit integers, exact in i32 (wrapping beyond): C [m, n] = (A - a's zero points) (B - b's zero points).
//
// B is packed as i8, in panels of columns; rows of A are read as u8 where they lie, if they lie side by side, else copied (a type that
// is the other one has its highest bit flipped, which moves its zero point by 128), so that one instruction multiplies and adds four
// pairs where there is VNNI, and 16,384 where there is AMX. Zero points are taken off by the sums of rows and columns. Sums have no
// order: integers add up to the same in any. The convolutions of images in planes have the filters as rows, packed as i8, and patches
// as panels of u8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/api/requantize.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct IntegerGemmShape {
  int64_t m = 0, n = 0, k = 0;
};

// An operand of u8 or i8. Element (i, j) lies at data[i * row_stride + j * column_stride].
struct IntegerMatrix {
  const std::byte* data = nullptr;
  bool is_signed = false;
  int64_t row_stride = 0, column_stride = 1;
  // Of the same type; null: 0. A's row (B's column) i has zero[i % zeros].
  const std::byte* zero = nullptr;
  int64_t zeros = 1;
};

// A packed operand: bytes of its lines (rows of A, columns of B), and of each line its zero point and its sum, which is less k times
// the zero point where the line is a column. A view of memory that another owns.
struct PackedIntegers {
  std::byte* data = nullptr;
  int32_t *sums = nullptr, *zeros = nullptr;
};

// Where the sums go: one of the two.
struct IntegerResult {
  int32_t* sums = nullptr;         // as they are
  std::byte* quantized = nullptr;  // by `scales`: one a row or one a column of C, or one for all
  const OutputScales* scales = nullptr;
  bool scales_of_rows = false;
  int64_t stride = 0;  // elements between the rows of C
};

}  // namespace tandem

namespace tandem::cpu {

size_t packed_columns_bytes(int64_t lines, int64_t k);
PackedIntegers columns_in(std::byte* memory, int64_t lines, int64_t k);
void pack_columns(const KernelContext&, const IntegerGemmShape&, const IntegerMatrix& b, const PackedIntegers& packed);

// For convolutions of planes; rows lie side by side (column_stride 1).
size_t packed_rows_bytes(int64_t lines, int64_t k);
size_t packed_panels_bytes(int64_t lines, int64_t k);
// The memory, aligned to 64, laid out for an operand.
PackedIntegers rows_in(std::byte* memory, int64_t lines, int64_t k);
PackedIntegers panels_in(std::byte* memory, int64_t lines, int64_t k);
void pack_rows(const KernelContext&, const IntegerGemmShape&, const IntegerMatrix& a, const PackedIntegers& packed);
void pack_panels(const KernelContext&, const IntegerGemmShape&, const IntegerMatrix& b, const PackedIntegers& packed,
                 bool with_sums = true);
// Whether all rows have zero point 0; then nobody reads the sums of panels.
bool all_zero(const PackedIntegers& rows, int64_t lines);

// Rows [first_row, last_row) by all columns, on the calling thread; the result's pointers are those of C's first element.
void multiply_integers(const IntegerGemmShape&, const PackedIntegers& a, const PackedIntegers& b, int64_t first_row,
                       int64_t last_row, const IntegerResult& result);

// A quantized weight, packed once when a plan is made: a handle, copies share the storage.
class PackedWeight {
 public:
  PackedWeight() = default;
  explicit operator bool() const { return memory_ != nullptr; }
  size_t bytes() const { return bytes_; }
  const std::byte* data() const { return memory_.get(); }
  const PackedIntegers& view() const { return view_; }

  // `zero` is null, one, or one a line.
  static PackedWeight rows(const IntegerMatrix& matrix, int64_t lines, int64_t k);
  static PackedWeight columns(const IntegerMatrix& matrix, int64_t lines, int64_t k);

 private:
  PackedWeight(size_t bytes, int64_t lines, int64_t k, PackedIntegers (*layout)(std::byte*, int64_t, int64_t));
  std::shared_ptr<std::byte[]> memory_;
  size_t bytes_ = 0;
  PackedIntegers view_;
};

// What integer_gemm wants in KernelContext::workspace, for these sizes and all smaller ones; less if B is packed, whose k is what it is.
size_t integer_gemm_workspace_bytes(const IntegerGemmShape&, bool b_is_packed);
// By the whole team. `packed_b`, columns, may be given in place of b (which is not looked at then). Scales are of columns.
void integer_gemm(const KernelContext&, const IntegerGemmShape&, const IntegerMatrix& a, const IntegerMatrix& b,
                  const IntegerResult& result, const PackedIntegers* packed_b = nullptr);

}  // namespace tandem::cpu
