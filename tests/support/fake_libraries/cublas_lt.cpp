// A stand-in for libcublasLt, by its documentation: descriptors, layouts, orders, transposes, epilogues, types, alignments. What
// the documentation forbids is refused as documented. It multiplies by three loops in the emulator's stream, so that device
// memory, captured graphs and missing synchronisation are as with the real one. Built with NVIDIA's header: our own declarations
// take no part.
//
// An algorithm is good only for the problem it was found for, uses all of the workspace it asked for (writing junk there), and is
// refused with anything else. Not supported, as a test of what happens then: an activation, a slope or sums on f64. Masks have
// their bits as NVIDIA's tests of nvmath-python read them: row i of D is bit i % 8 of byte i / 8 of its column. As those tests
// also find, slopes and sums want a k above 1, and sums more than one value.
#include "tests/support/fake_libraries/cublas_lt.h"

#include <cublasLt.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <tuple>
#include <vector>

#include "cuda_emulator.h"
#include "kernels/base/half.h"

namespace {

using tandem::BF16, tandem::F16;

constexpr size_t kWorkspace = 4096;

struct Context {};

struct Operation {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  int32_t bias_type = -1;  // that of D
  const void* auxiliary = nullptr;
  int64_t auxiliary_ld = 0;
};

struct Matrix {
  cudaDataType type;
  uint64_t rows, columns;
  int64_t ld;
  int32_t order = CUBLASLT_ORDER_COL, count = 1;
  int64_t stride = 0;
  auto tie() const { return std::tie(type, rows, columns, ld, order, count, stride); }
};

struct Preference {
  uint64_t workspace = 0;
  uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignment[4] = {256, 256, 256, 256};
};

template <class T>
T& as(void* object) {
  return *static_cast<T*>(object);
}

FakeCublasLtCalls& calls() {
  static FakeCublasLtCalls all;
  return all;
}

template <class T>
cublasStatus_t assign(T& target, const void* value, size_t bytes) {
  if (!value || bytes != sizeof target) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&target, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

size_t bytes_of(int type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

double load(int type, const void* data, int64_t i) {
  switch (type) {
    case CUDA_R_64F: return static_cast<const double*>(data)[i];
    case CUDA_R_32F: return static_cast<const float*>(data)[i];
    case CUDA_R_16F: return to_float(static_cast<const F16*>(data)[i]);
    default: return to_float(static_cast<const BF16*>(data)[i]);
  }
}

void store(int type, void* data, int64_t i, double value) {
  switch (type) {
    case CUDA_R_64F: static_cast<double*>(data)[i] = value; return;
    case CUDA_R_32F: static_cast<float*>(data)[i] = static_cast<float>(value); return;
    case CUDA_R_16F: static_cast<F16*>(data)[i] = tandem::to_f16(static_cast<float>(value)); return;
    default: static_cast<BF16*>(data)[i] = tandem::to_bf16(static_cast<float>(value)); return;
  }
}

// TF32 has ten bits of fraction.
double rounded_to_tf32(double x) {
  const float value = static_cast<float>(x);
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0x0FFFu + ((bits >> 13) & 1u)) & ~0x1FFFu;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

int64_t at(const Matrix& m, int64_t row, int64_t column) {
  return m.order == CUBLASLT_ORDER_COL ? row + column * m.ld : row * m.ld + column;
}

// One call, with all it needs to be made later.
struct Problem {
  Operation op;
  Matrix a, b, c, d;

  int64_t m() const { return static_cast<int64_t>(d.rows); }
  int64_t n() const { return static_cast<int64_t>(d.columns); }
  int64_t k() const { return static_cast<int64_t>(op.transpose_a == CUBLAS_OP_N ? a.columns : a.rows); }
  bool has_bias() const { return op.epilogue == CUBLASLT_EPILOGUE_BIAS || op.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS; }
  bool has_relu() const { return op.epilogue == CUBLASLT_EPILOGUE_RELU || op.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS; }
  bool has_mask() const { return op.epilogue == CUBLASLT_EPILOGUE_DRELU; }
  bool has_slope() const { return has_mask() || op.epilogue == CUBLASLT_EPILOGUE_DGELU; }
  bool has_sums() const { return op.epilogue == CUBLASLT_EPILOGUE_BGRADA || op.epilogue == CUBLASLT_EPILOGUE_BGRADB; }
  bool sums_a() const { return op.epilogue == CUBLASLT_EPILOGUE_BGRADA; }
  int bias_type() const { return op.bias_type < 0 ? static_cast<int>(d.type) : op.bias_type; }

  // The table "supported combinations" of cublasLtMatmul, as far as it is needed.
  bool types_fit() const {
    if (a.type != b.type || c.type != d.type) return false;
    const bool f64 = op.compute == CUBLAS_COMPUTE_64F;
    const bool tf32 = op.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    if (f64) return op.scale == CUDA_R_64F && a.type == CUDA_R_64F && d.type == CUDA_R_64F;
    if (op.scale != CUDA_R_32F || !(tf32 || op.compute == CUBLAS_COMPUTE_32F)) return false;
    if (a.type == CUDA_R_32F) return d.type == CUDA_R_32F;
    return !tf32 && (a.type == CUDA_R_16F || a.type == CUDA_R_16BF) && (d.type == a.type || d.type == CUDA_R_32F);
  }
  static bool possible(const Matrix& m) {
    if (m.rows == 0 || m.columns == 0 || m.count < 1) return false;
    if (m.order != CUBLASLT_ORDER_COL && m.order != CUBLASLT_ORDER_ROW) return false;
    return m.ld >= static_cast<int64_t>(m.order == CUBLASLT_ORDER_COL ? m.rows : m.columns);
  }
  bool sizes_fit() const {
    const bool ta = op.transpose_a != CUBLAS_OP_N, tb = op.transpose_b != CUBLAS_OP_N;
    return possible(a) && possible(b) && possible(c) && possible(d) && c.rows == d.rows && c.columns == d.columns &&
           c.count == d.count && a.count == d.count && b.count == d.count && (ta ? a.columns : a.rows) == d.rows &&
           (tb ? b.rows : b.columns) == d.columns && (tb ? b.columns : b.rows) == static_cast<uint64_t>(k()) &&
           c.order == d.order;
  }
  cublasStatus_t status() const {
    if (!sizes_fit()) return CUBLAS_STATUS_INVALID_VALUE;
    if (!types_fit()) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (op.epilogue != CUBLASLT_EPILOGUE_DEFAULT && !has_bias() && !has_relu() && !has_slope() && !has_sums())
      return CUBLAS_STATUS_NOT_SUPPORTED;
    if (has_slope() && !auxiliary_fits()) return CUBLAS_STATUS_INVALID_VALUE;
    if ((has_slope() || has_sums()) && (k() == 1 || a.type == CUDA_R_64F)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (has_sums() && (sums_a() ? m() : n()) == 1) return CUBLAS_STATUS_NOT_SUPPORTED;
    if ((has_bias() || has_sums()) && (!op.bias || d.order != CUBLASLT_ORDER_COL || bias_type() != d.type))
      return CUBLAS_STATUS_INVALID_VALUE;
    return has_relu() && a.type == CUDA_R_64F ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
  }
  // By the description of CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: bits of a mask, elements of D's type for GELU.
  bool auxiliary_fits() const {
    return op.auxiliary && d.order == CUBLASLT_ORDER_COL && d.count == 1 && op.auxiliary_ld >= m() &&
           op.auxiliary_ld % (has_mask() ? 128 : 8) == 0;
  }
  bool same_kind(const Problem& o) const {
    const auto of = [](const Operation& x) {
      return std::tie(x.compute, x.scale, x.transpose_a, x.transpose_b, x.epilogue, x.bias_type, x.auxiliary_ld);
    };
    return of(op) == of(o.op) && a.tie() == o.a.tie() && b.tie() == o.b.tie() && c.tie() == o.c.tie() && d.tie() == o.d.tie();
  }
};

struct Known {
  Problem problem;
  Preference preference;
};
// All algorithms ever found; an algorithm is its number there.
std::vector<Known>& known() {
  static std::vector<Known> all;
  return all;
}

Problem problem_of(void* op, void* a, void* b, void* c, void* d) {
  return {as<Operation>(op), as<Matrix>(a), as<Matrix>(b), as<Matrix>(c), as<Matrix>(d)};
}

struct Pointers {
  const void *a, *b, *c;
  void *d, *workspace;
  double alpha, beta;
};

double gelu_slope(double x) {
  const double angle = 0.7978845608028654 * (x + 0.044715 * x * x * x), t = std::tanh(angle);
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

double slope_at(const Problem& p, int64_t row, int64_t column) {
  const int64_t at = row + column * p.op.auxiliary_ld;
  if (!p.has_mask()) return gelu_slope(load(p.d.type, p.op.auxiliary, at));
  return static_cast<const uint8_t*>(p.op.auxiliary)[at / 8] >> (at % 8) & 1;
}

// One value a row of D from A, or a column of D from B.
void make_sums(const Problem& p, const Pointers& at_) {
  void* const sums = const_cast<void*>(p.op.bias);
  for (int64_t i = 0; i < (p.sums_a() ? p.m() : p.n()); ++i) {
    double sum = 0;
    for (int64_t k = 0; k < p.k(); ++k)
      sum += p.sums_a() ? load(p.a.type, at_.a, p.op.transpose_a == CUBLAS_OP_N ? at(p.a, i, k) : at(p.a, k, i))
                        : load(p.b.type, at_.b, p.op.transpose_b == CUBLAS_OP_N ? at(p.b, k, i) : at(p.b, i, k));
    store(p.bias_type(), sums, i, sum);
  }
}

void make_product(const Problem& p, const Pointers& at_, int64_t i) {
  const auto moved = [i](const Matrix& m, const void* data) {
    return static_cast<const std::byte*>(data) + i * m.stride * static_cast<int64_t>(bytes_of(m.type));
  };
  const void *a = moved(p.a, at_.a), *b = moved(p.b, at_.b), *c = moved(p.c, at_.c);
  void* d = const_cast<std::byte*>(moved(p.d, at_.d));
  const bool tf32 = p.op.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  for (int64_t column = 0; column < p.n(); ++column)
    for (int64_t row = 0; row < p.m(); ++row) {
      double sum = 0;
      for (int64_t k = 0; k < p.k(); ++k) {
        double x = load(p.a.type, a, p.op.transpose_a == CUBLAS_OP_N ? at(p.a, row, k) : at(p.a, k, row));
        double y = load(p.b.type, b, p.op.transpose_b == CUBLAS_OP_N ? at(p.b, k, column) : at(p.b, column, k));
        if (tf32) x = rounded_to_tf32(x), y = rounded_to_tf32(y);
        sum += x * y;
      }
      sum *= at_.alpha;
      if (at_.beta != 0) sum += at_.beta * load(p.c.type, c, at(p.c, row, column));
      if (p.has_bias()) sum += load(p.bias_type(), p.op.bias, row);
      if (p.has_relu() && sum < 0) sum = 0;
      if (p.has_slope()) sum *= slope_at(p, row, column);
      store(p.d.type, d, at(p.d, row, column), sum);
    }
}

// The status that a test asks for by a variable of the environment.
std::optional<cublasStatus_t> wished(const char* name) {
  const char* const status = std::getenv(name);
  return status ? std::optional(static_cast<cublasStatus_t>(std::atoi(status))) : std::nullopt;
}

bool is_aligned(const void* address, uint32_t alignment) { return reinterpret_cast<uintptr_t>(address) % alignment == 0; }

// Algorithms are found by the values that pointers in the descriptor had: 16 bytes are the most that is looked at.
bool as_aligned_as(const void* found, const void* now) {
  const auto low = [](const void* address) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(address) % 16); };
  return low(found) == 0 ? low(now) == 0 : low(now) % (low(found) & -low(found)) == 0;
}

}  // namespace

extern "C" {

FakeCublasLtCalls fake_cublas_lt_calls() { return calls(); }

size_t cublasLtGetVersion() { return 130100; }
const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_INITIALIZED ? "the library was not initialized" : "an error of the stand-in";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (const auto status = wished("FAKE_CUBLAS_LT_REFUSES")) return *status;
  *handle = reinterpret_cast<cublasLtHandle_t>(new Context);
  ++calls().handles;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<Context*>(handle);
  --calls().handles;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* op, cublasComputeType_t compute, cudaDataType_t scale) {
  *op = reinterpret_cast<cublasLtMatmulDesc_t>(new Operation{.compute = compute, .scale = scale});
  ++calls().objects;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t op) {
  delete reinterpret_cast<Operation*>(op);
  --calls().objects;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t object, cublasLtMatmulDescAttributes_t name, const void* value,
                                              size_t bytes) {
  Operation& op = as<Operation>(object);
  switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return assign(op.transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return assign(op.transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return assign(op.epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return assign(op.bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: return assign(op.auxiliary, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return assign(op.auxiliary_ld, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return assign(op.bias_type, value, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows, uint64_t columns,
                                          int64_t ld) {
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(new Matrix{.type = type, .rows = rows, .columns = columns, .ld = ld});
  ++calls().objects;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete reinterpret_cast<Matrix*>(layout);
  --calls().objects;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t object, cublasLtMatrixLayoutAttribute_t name,
                                                const void* value, size_t bytes) {
  Matrix& matrix = as<Matrix>(object);
  switch (name) {
    case CUBLASLT_MATRIX_LAYOUT_ORDER: return assign(matrix.order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return assign(matrix.count, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return assign(matrix.stride, value, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  ++calls().objects;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete reinterpret_cast<Preference*>(preference);
  --calls().objects;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t object, cublasLtMatmulPreferenceAttributes_t name,
                                                    const void* value, size_t bytes) {
  Preference& preference = as<Preference>(object);
  switch (name) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return assign(preference.workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return assign(preference.schemes, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return assign(preference.alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return assign(preference.alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return assign(preference.alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return assign(preference.alignment[3], value, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t* results, int* count) {
  *count = 0;
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (most < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const Problem problem = problem_of(op, a, b, c, d);
  ++calls().searches;
  if (const auto status = wished("FAKE_CUBLAS_LT_SEARCH_REFUSES")) return *status;
  if (const cublasStatus_t status = problem.status(); status != CUBLAS_STATUS_SUCCESS) return status;
  known().push_back({problem, as<Preference>(preference)});
  calls().schemes = known().back().preference.schemes;
  results[0] = {};
  results[0].algo.data[0] = known().size();
  results[0].workspaceSize = known().back().preference.workspace >= kWorkspace ? kWorkspace : 0;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t op, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t la, const void* b, cublasLtMatrixLayout_t lb, const void* beta,
                              const void* c, cublasLtMatrixLayout_t lc, void* d, cublasLtMatrixLayout_t ld,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (const auto status = wished("FAKE_CUBLAS_LT_PRODUCT_REFUSES")) return *status;
  const Problem problem = problem_of(op, la, lb, lc, ld);
  if (const cublasStatus_t status = problem.status(); status != CUBLAS_STATUS_SUCCESS) return status;
  if (!algorithm || algorithm->data[0] < 1 || algorithm->data[0] > known().size()) return CUBLAS_STATUS_INVALID_VALUE;
  const Known& found = known()[algorithm->data[0] - 1];
  const auto& alignment = found.preference.alignment;
  const Operation& op_now = problem.op;
  const size_t used = found.preference.workspace >= kWorkspace ? kWorkspace : 0;
  if (!found.problem.same_kind(problem) || workspace_bytes < used || (used && !is_aligned(workspace, 256)) ||
      !is_aligned(a, alignment[0]) || !is_aligned(b, alignment[1]) || !is_aligned(c, alignment[2]) ||
      !is_aligned(d, alignment[3]) || !as_aligned_as(found.problem.op.bias, op_now.bias) ||
      !as_aligned_as(found.problem.op.auxiliary, op_now.auxiliary))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (c == d && !(problem.c.tie() == problem.d.tie())) return CUBLAS_STATUS_INVALID_VALUE;
  const Pointers pointers{a, b, c, d, workspace, load(problem.op.scale, alpha, 0), load(problem.op.scale, beta, 0)};
  ++calls().products;
  calls().compute = problem.op.compute;
  calls().epilogue = static_cast<int>(problem.op.epilogue);
  tandem::emulator::launch(
      {dim3(1), dim3(1)}, stream, "cublasLtMatmul",
      [problem, pointers, used] {
        std::memset(pointers.workspace, 0xA5, used);
        for (int64_t i = 0; i < problem.d.count; ++i) make_product(problem, pointers, i);
        if (problem.has_sums()) make_sums(problem, pointers);
      },
      a, b, c, d, workspace, problem.op.bias, problem.op.auxiliary);
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
