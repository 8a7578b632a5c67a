// Products of 8-bit integers, exact in i32 (wrapping beyond): C [m, n] = (A - a's zero points) (B - b's zero points).
//
// Zero points are taken off when the operands are packed, as 16 bits, which 8-bit differences always fit; pairs of products are
// then added in one instruction of every instruction set (pmaddwd). Sums have no order: integers add up to the same in any.
#pragma once

#include <cstddef>
#include <cstdint>

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

}  // namespace tandem

namespace tandem::cpu {

// Elements of a packed operand: rows of A, panels of columns of B.
int64_t packed_integer_a(const IntegerGemmShape&);
int64_t packed_integer_b(const IntegerGemmShape&);
// For the whole operand, on the calling thread.
void pack_integer_a(const IntegerGemmShape&, const IntegerMatrix& a, int16_t* packed);
void pack_integer_b(const IntegerGemmShape&, const IntegerMatrix& b, int16_t* packed);
// C from packed operands, on the calling thread; rows of C are `ldc` apart.
void multiply_packed_integers(const IntegerGemmShape&, const int16_t* a, const int16_t* b, int32_t* c, int64_t ldc);

// What integer_gemm wants in KernelContext::workspace.
size_t integer_gemm_workspace_bytes(const IntegerGemmShape&);
// By the whole team. `packed_b` may be given in place of b (which is not looked at then). C is dense.
void integer_gemm(const KernelContext&, const IntegerGemmShape&, const IntegerMatrix& a, const IntegerMatrix& b, int32_t* c,
                  const int16_t* packed_b = nullptr);

}  // namespace tandem::cpu
