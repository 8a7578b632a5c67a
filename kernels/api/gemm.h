// Dense matrix products with a fused epilogue, f32 and f64 (on a GPU also f16 and bf16). All matrices are row-major.
//
//   C = activation(alpha * op(A) * op(B) + beta * addend + bias)        op(A) is [m, k], op(B) is [k, n], C is [m, n]
//
// Rounded, bf16(op(A)) and bf16(op(B)) are multiplied instead, to nearest, ties to even: products are exact, sums f32, and all else stays f32.
//
// Every element of C is summed over k in one fixed order by one thread: bits depend neither on the threads nor on m, n or whether B was
// packed before. k = 0 leaves activation(beta * addend + bias); m = 0 or n = 0 writes nothing. C may be the addend (BLAS's beta * C),
// and must not overlap A or B. Scratch comes from KernelContext::workspace: ask for its size once, for the largest shape; it is
// never larger for a smaller one. Throws Internal if the workspace is too small.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "kernels/api/activation.h"
#include "kernels/api/isa.h"
#include "kernels/api/matmul_products.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

enum class BiasAxis : uint8_t { kColumn, kRow };  // one bias a column of C (n of them), or a row (m of them)

struct GemmShape {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false;  // A is stored [k, m]
  bool transpose_b = false;  // B is stored [n, k]
  bool rounded = false;      // of f32, not packed, on a CPU
};

// `batch` products, threads over the batch when there are enough. 0 as a stride: every product reads the same matrix.
struct GemmBatch {
  int64_t count = 1;
  int64_t stride_a = 0, stride_b = 0, stride_c = 0, stride_addend = 0;  // in elements
};

enum class Operand : uint8_t { kA, kB };

// What the backward step of a dense layer makes in the same product, instead of passes over its result. T is the type of C.
//
//   C = C * slope(saved)         the gradient of the activation that made this layer's input; no other activation then
//   sums = sum over k of op(A), m values, or of op(B), n values: the gradient of a bias; only of one product, not of a batch
template <class T>
struct GemmBackward {
  const T* saved = nullptr;  // [m, n] with the leading dimension of C (and its stride in a batch), not in its memory; null: no slope
  UnaryGradOp slope = UnaryGradOp::kRelu;  // kRelu, kSigmoid, kTanh (saved: y), kGelu or kGeluTanh (saved: x)
  T* sums = nullptr;                       // null: none
  Operand summed = Operand::kA;
};

// NumPy's matmul on views: leading dimensions broadcast, a 1-D `a` is a row and a 1-D `b` a column whose axis vanishes from `y`.
// The transposes swap the last two axes of an operand (rank >= 2). Any ranks; dtype f32 or f64, the same for all.
struct MatmulOptions {
  bool transpose_a = false, transpose_b = false;
  bool rounded = false;  // f32, and one matrix `b` for all of `a`; see GemmShape
  float alpha = 1;
  ConstTensorView bias = {};    // null or [n], added to every row
  ConstTensorView addend = {};  // null or the shape of y; may be y's memory
  Activation activation = {};
};

}  // namespace tandem

namespace tandem::cpu {

using tandem::Activation, tandem::BiasAxis, tandem::GemmBackward, tandem::GemmBatch, tandem::GemmShape, tandem::MatmulOptions;

// op(B) rearranged into the panels that one tier reads: weights, packed once when a plan is made. A handle: copies share the storage.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  explicit operator bool() const { return data_ != nullptr; }
  int64_t k() const { return k_; }
  int64_t n() const { return n_; }
  DType dtype() const { return dtype_; }
  Isa isa() const { return isa_; }
  size_t bytes() const { return bytes_; }
  const std::byte* data() const { return data_.get(); }

 private:
  friend PackedMatrix pack_matrix(ConstTensorView, bool, Isa);
  std::shared_ptr<std::byte[]> data_;
  int64_t k_ = 0, n_ = 0;
  size_t bytes_ = 0;
  DType dtype_ = DType::kUndefined;
  Isa isa_ = Isa::kPortable;
};

// `b` is [k, n], or [n, k] if `transposed`; f32 or f64. Allocates. The panels hold the tier's layout: use them with the same `isa`.
PackedMatrix pack_matrix(ConstTensorView b, bool transposed = false, Isa isa = chosen_isa());

template <class T>
struct GemmArgs {
  const T* a = nullptr;
  int64_t lda = 0;                         // elements between rows as stored
  const T* b = nullptr;
  int64_t ldb = 0;
  const PackedMatrix* packed_b = nullptr;  // instead of b; transpose_b is then ignored
  T* c = nullptr;
  int64_t ldc = 0;
  T alpha = 1;
  const T* addend = nullptr;               // [m, n], null: none
  int64_t ld_addend = 0;                   // 0: every row adds the same n values
  T beta = 1;                              // scale of the addend
  const T* bias = nullptr;                 // null: none
  BiasAxis bias_axis = BiasAxis::kColumn;
  Activation activation = {};
  GemmBackward<T> backward = {};           // sums of op(B) need b, not packed_b
};

// T is float or double.
template <class T>
size_t gemm_workspace_bytes(const GemmShape&, int threads, Isa isa = chosen_isa());
template <class T>
void gemm(const KernelContext&, const GemmShape&, const GemmArgs<T>&, Isa isa = chosen_isa());
// Same workspace as one product of the batch.
template <class T>
void batched_gemm(const KernelContext&, const GemmShape&, const GemmArgs<T>&, const GemmBatch&, Isa isa = chosen_isa());

size_t matmul_workspace_bytes(DType, const Shape& a, const Shape& b, bool transpose_a, bool transpose_b, int threads,
                              Isa isa = chosen_isa(), bool rounded = false);
// `y` has matmul_shape.
void matmul(const KernelContext&, ConstTensorView a, ConstTensorView b, TensorView y, const MatmulOptions& options = {},
            Isa isa = chosen_isa());
// With packed weights: a is [..., k], y is [..., n]; transpose_a must be false. Workspace: that of matmul with b of [k, n].
void matmul(const KernelContext&, ConstTensorView a, const PackedMatrix& b, TensorView y, const MatmulOptions& options = {});

}  // namespace tandem::cpu

// The twins, on the session's stream: by cuBLASLt where it is there (Session::blas), else by our own kernels.
namespace tandem::cuda {

// All in device memory. T is float, double, F16 or BF16, Out is T or, for the 16-bit ones, float. 16-bit numbers are multiplied
// exactly, summed in f32 and rounded once more where they are stored.
template <class T, class Out = T>
struct GemmArgs {
  using Scalar = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const T* a = nullptr;
  int64_t lda = 0;
  const T* b = nullptr;
  int64_t ldb = 0;
  Out* c = nullptr;
  int64_t ldc = 0;
  Scalar alpha = 1;
  const Out* addend = nullptr;
  int64_t ld_addend = 0;
  int64_t addend_step = 1;  // between the columns of the addend; 0: every column adds the same m values
  Scalar beta = 1;
  const Out* bias = nullptr;
  BiasAxis bias_axis = BiasAxis::kColumn;
  Activation activation = {};
  GemmBackward<Out> backward = {};
};

// For gemm and batched_gemm with products of at most this shape; `backward`: of those that use GemmArgs::backward, too.
template <class T>
size_t gemm_workspace_bytes(const GemmShape&, bool backward = false);
// The bits depend on the shape, and on whether the library is there, but on nothing else.
template <class T, class Out = T>
void gemm(const KernelContext&, const GemmShape&, const GemmArgs<T, Out>&);
template <class T, class Out = T>
void batched_gemm(const KernelContext&, const GemmShape&, const GemmArgs<T, Out>&, const GemmBatch&);

// f16 and bf16 too; `y` and the bias have the dtype of `a` and `b`.
size_t matmul_workspace_bytes(DType, const Shape& a, const Shape& b, bool transpose_a, bool transpose_b);
void matmul(const KernelContext&, ConstTensorView a, ConstTensorView b, TensorView y, const MatmulOptions& options = {});

}  // namespace tandem::cuda
