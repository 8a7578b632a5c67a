// cuBLASLt counts by columns: our row-major C is its C^T = op(B)^T * op(A)^T. So our B is its first operand and our A its second,
// both with the transposes they have; rows and columns change places; one bias a column becomes one a row, which is the bias it
// knows.
//
// Its GELU is the approximation by tanh and ours the exact one, so of the activations only ReLU is left to it; of their slopes
// those of ReLU and of the GELU by tanh. As operands change places, sums of our A are those of its B. Descriptors and the chosen
// algorithm are kept in the session: in the steady state a product is one call that allocates nothing.
#include "kernels/cuda/gemm/blas.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "kernels/cuda/device/session.h"
#include "kernels/cuda/library/cublas_lt.h"
#include "kernels/cuda/library/library.h"

namespace tandem::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // what cuBLAS recommends for Hopper
constexpr size_t kWorkspaceAlignment = 256;

void must(int status, std::string_view call) {
  check(status == CublasLt::kSuccess, ErrorCode::kDevice, "a library of the GPU failed (call, status, meaning)", call, status,
        std::string_view(cublas_lt()->status_text(status)));
}

// The library has no way for this, which is no failure.
bool refused(int status) { return status == CublasLt::kInvalidValue || status == CublasLt::kNotSupported; }

CublasLt::Type type_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return CublasLt::kF32;
    case DType::kF64: return CublasLt::kF64;
    case DType::kF16: return CublasLt::kF16;
    case DType::kBF16: return CublasLt::kBF16;
    default: no_kernel_for(dtype);
  }
}

CublasLt::Compute compute_of(DType dtype, Math math) {
  if (dtype == DType::kF64) return CublasLt::kCompute64F;
  return dtype == DType::kF32 && math == Math::kFast ? CublasLt::kCompute32FFastTf32 : CublasLt::kCompute32F;
}

CublasLt::Epilogue epilogue_of(const BlasProduct& p) {
  if (p.relu_mask) return CublasLt::kReluGrad;
  if (p.gelu_input) return CublasLt::kGeluGrad;
  if (p.sums) return p.summed == Operand::kA ? CublasLt::kSumB : CublasLt::kSumA;
  if (p.bias) return p.relu ? CublasLt::kReluBias : CublasLt::kBias;
  return p.relu ? CublasLt::kRelu : CublasLt::kPlain;
}

// What the epilogue reads or writes besides C.
const void* vector_of(const BlasProduct& p) { return p.sums ? p.sums : p.bias; }
const void* auxiliary_of(const BlasProduct& p) { return p.relu_mask ? p.relu_mask : p.gelu_input; }
int64_t auxiliary_ld(const BlasProduct& p) { return p.relu_mask ? blas_mask_words(p.shape.n) * 32 : p.ldc; }  // in bits

// One of the library's objects.
using Owned = std::unique_ptr<void, int (*)(void*)>;

template <class Create, class... Arguments>
Owned make(std::string_view call, int (*destroy)(void*), Create create, Arguments... arguments) {
  void* object = nullptr;
  must(create(&object, arguments...), call);
  return Owned(object, destroy);
}

template <class Set, class Value>
void set(std::string_view call, Set setter, const Owned& object, int attribute, Value value) {
  must(setter(object.get(), attribute, &value, sizeof value), call);
}

// Bytes, at most 16, that the address is a multiple of.
int64_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<uintptr_t>(address);
  return static_cast<int64_t>(std::min<uintptr_t>(bits & -bits ? bits & -bits : 16, 16));
}

struct Layouts {
  Owned a, b, addend, c;
};

Owned make_layout(DType dtype, int64_t rows, int64_t columns, int64_t ld, int64_t count, int64_t stride) {
  const CublasLt& lt = *cublas_lt();
  Owned layout = make("cublasLtMatrixLayoutCreate", lt.destroy_layout, lt.create_layout, static_cast<int>(type_of(dtype)),
                      static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), ld);
  if (count == 1) return layout;
  set("cublasLtMatrixLayoutSetAttribute", lt.set_layout, layout, CublasLt::kBatchCount, static_cast<int32_t>(count));
  set("cublasLtMatrixLayoutSetAttribute", lt.set_layout, layout, CublasLt::kBatchStride, stride);
  return layout;
}

Layouts make_layouts(const BlasProduct& p) {
  const auto& [m, n, k, ta, tb, rounded] = p.shape;
  const auto& [count, stride_a, stride_b, stride_c, stride_addend] = p.batch;
  return {make_layout(p.in, tb ? k : n, tb ? n : k, p.ldb, count, stride_b),
          make_layout(p.in, ta ? m : k, ta ? k : m, p.lda, count, stride_a),
          make_layout(p.out, n, m, p.addend ? p.ld_addend : p.ldc, count, p.addend ? stride_addend : stride_c),
          make_layout(p.out, n, m, p.ldc, count, stride_c)};
}

void set_pointers(const Owned& descriptor, const BlasProduct& p) {
  const auto attribute = [&](int name, const void* value) {
    if (value) set("cublasLtMatmulDescSetAttribute", cublas_lt()->set_descriptor, descriptor, name, value);
  };
  attribute(CublasLt::kBiasPointer, vector_of(p));
  attribute(CublasLt::kAuxPointer, auxiliary_of(p));
}

Owned make_descriptor(const BlasProduct& p, Math math) {
  const CublasLt& lt = *cublas_lt();
  const int scale = p.in == DType::kF64 ? CublasLt::kF64 : CublasLt::kF32;
  Owned descriptor = make("cublasLtMatmulDescCreate", lt.destroy_descriptor, lt.create_descriptor,
                          static_cast<int>(compute_of(p.in, math)), scale);
  const auto attribute = [&](int name, auto value) {
    set("cublasLtMatmulDescSetAttribute", lt.set_descriptor, descriptor, name, value);
  };
  attribute(CublasLt::kTransposeA, static_cast<int32_t>(p.shape.transpose_b ? CublasLt::kTransposed : CublasLt::kAsIs));
  attribute(CublasLt::kTransposeB, static_cast<int32_t>(p.shape.transpose_a ? CublasLt::kTransposed : CublasLt::kAsIs));
  attribute(CublasLt::kEpilogue, static_cast<uint32_t>(epilogue_of(p)));
  if (vector_of(p)) attribute(CublasLt::kBiasType, static_cast<int32_t>(type_of(p.out)));
  if (auxiliary_of(p)) attribute(CublasLt::kAuxLeadingDimension, auxiliary_ld(p));
  set_pointers(descriptor, p);  // algorithms are chosen by their alignment, too
  return descriptor;
}

const void* addend_or_c(const BlasProduct& p) { return p.addend ? p.addend : p.c; }

Owned make_preference(const BlasProduct& p, size_t workspace) {
  const CublasLt& lt = *cublas_lt();
  Owned preference = make("cublasLtMatmulPreferenceCreate", lt.destroy_preference, lt.create_preference);
  const auto attribute = [&](int name, auto value) {
    set("cublasLtMatmulPreferenceSetAttribute", lt.set_preference, preference, name, value);
  };
  attribute(CublasLt::kMostWorkspace, static_cast<uint64_t>(workspace));
  attribute(CublasLt::kReductionSchemes, static_cast<uint32_t>(CublasLt::kInComputeType));
  attribute(CublasLt::kAlignmentA, static_cast<uint32_t>(alignment_of(p.b)));
  attribute(CublasLt::kAlignmentB, static_cast<uint32_t>(alignment_of(p.a)));
  attribute(CublasLt::kAlignmentC, static_cast<uint32_t>(alignment_of(addend_or_c(p))));
  attribute(CublasLt::kAlignmentD, static_cast<uint32_t>(alignment_of(p.c)));
  return preference;
}

// How one kind of product is made.
struct Choice {
  Owned descriptor;
  Layouts layouts;
  CublasLt::Heuristic found{};
  bool usable = false;

  Choice(void* handle, const BlasProduct& p, Math math, size_t workspace)
      : descriptor(make_descriptor(p, math)), layouts(make_layouts(p)) {
    const Owned preference = make_preference(p, workspace);
    int count = 0;
    const int status = cublas_lt()->find_algorithms(handle, descriptor.get(), layouts.a.get(), layouts.b.get(),
                                                    layouts.addend.get(), layouts.c.get(), preference.get(), 1, &found, &count);
    if (!refused(status) && status != CublasLt::kArchMismatch) must(status, "cublasLtMatmulAlgoGetHeuristic");
    usable = status == CublasLt::kSuccess && count == 1 && found.state == CublasLt::kSuccess && found.workspace <= workspace;
  }
};

// All that a choice depends on.
using Key = std::array<int64_t, 25>;
Key key_of(const BlasProduct& p, Math math, size_t workspace) {
  return {p.shape.m,
          p.shape.n,
          p.shape.k,
          p.shape.transpose_a,
          p.shape.transpose_b,
          static_cast<int64_t>(p.in),
          static_cast<int64_t>(p.out),
          p.lda,
          p.ldb,
          p.ldc,
          p.addend ? p.ld_addend : -1,
          epilogue_of(p),
          p.batch.count,
          p.batch.stride_a,
          p.batch.stride_b,
          p.batch.stride_c,
          p.batch.stride_addend,
          alignment_of(p.a),
          alignment_of(p.b),
          alignment_of(p.c),
          alignment_of(addend_or_c(p)),
          alignment_of(vector_of(p)),
          alignment_of(auxiliary_of(p)),
          static_cast<int64_t>(math),
          static_cast<int64_t>(workspace)};
}

struct Choices {
  std::map<Key, Choice> by_key;
};

std::span<std::byte> aligned(std::span<std::byte> workspace) {
  void* data = workspace.data();
  size_t bytes = workspace.size();
  if (bytes == 0 || !std::align(kWorkspaceAlignment, 1, data, bytes)) return {};
  return {static_cast<std::byte*>(data), std::min(bytes, kWorkspaceBytes)};
}

template <class Scalar>
int multiply(void* handle, const Choice& choice, const BlasProduct& p, std::span<std::byte> workspace, void* stream) {
  const Scalar alpha = static_cast<Scalar>(p.alpha), beta = p.addend ? static_cast<Scalar>(p.beta) : Scalar(0);
  const Layouts& l = choice.layouts;
  return cublas_lt()->multiply(handle, choice.descriptor.get(), &alpha, p.b, l.a.get(), p.a, l.b.get(), &beta, addend_or_c(p),
                               l.addend.get(), p.c, l.c.get(), &choice.found.algorithm, workspace.data(), workspace.size(),
                               stream);
}

// The algorithm for this kind of product, looked for once; null if there is none.
Choice* usable_choice(Session& session, const BlasProduct& product, std::span<std::byte> workspace) {
  void* const handle = session.blas();
  if (!handle) return nullptr;
  auto& choices = session.kept<Choices>().by_key;
  const Key key = key_of(product, session.math(), workspace.size());
  auto at = choices.find(key);
  if (at == choices.end()) at = choices.try_emplace(key, handle, product, session.math(), workspace.size()).first;
  return at->second.usable ? &at->second : nullptr;
}

// The library's layouts have no k of 0 and count matrices with 32 bits.
bool representable(const BlasProduct& p) {
  const int64_t most = std::max({p.shape.m, p.shape.n, p.shape.k, p.batch.count});
  return p.shape.k > 0 && most <= INT32_MAX && p.ldc >= p.shape.n && p.lda >= (p.shape.transpose_a ? p.shape.m : p.shape.k) &&
         p.ldb >= (p.shape.transpose_b ? p.shape.k : p.shape.n) && (!p.addend || p.ld_addend >= p.shape.n);
}

}  // namespace

bool blas_can_multiply(const KernelContext& context, const BlasProduct& product) {
  if (!context.cuda || !cublas_lt() || !representable(product)) return false;
  return context.cuda->recorder || usable_choice(*context.cuda, product, aligned(context.workspace));
}

bool blas_multiply(const KernelContext& context, const BlasProduct& product) {
  if (!context.cuda || !cublas_lt() || !representable(product)) return false;
  Session& session = *context.cuda;
  if (session.recorder) {
    session.recorder->push_back({.kernel = "cublasLtMatmul"});
    return true;
  }
  const std::span<std::byte> workspace = aligned(context.workspace);
  Choice* const choice = usable_choice(session, product, workspace);
  if (!choice) return false;
  set_pointers(choice->descriptor, product);
  void* const handle = session.blas();
  const int status = product.in == DType::kF64 ? multiply<double>(handle, *choice, product, workspace, session.stream())
                                               : multiply<float>(handle, *choice, product, workspace, session.stream());
  if (!refused(status)) must(status, "cublasLtMatmul");
  return choice->usable = status == CublasLt::kSuccess;
}

size_t blas_workspace_bytes() { return cublas_lt() ? kWorkspaceBytes + kWorkspaceAlignment : 0; }

}  // namespace tandem::cuda
