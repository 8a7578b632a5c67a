// A stand-in for libcudnn, by its documentation: handles, descriptors of tensors, filters and convolutions in 4 or 5 axes, and
// the three products with their algorithms. What the documentation forbids is refused as documented. It convolves by loops in the
// emulator's stream, so that device memory, captured graphs and missing synchronisation are as with the real one. Built with
// NVIDIA's header: our own declarations take no part.
//
// An algorithm uses all of the workspace it asks for (writing junk there). Not supported, as a test of what happens then: groups
// of f64.
#include "tests/support/fake_libraries/cudnn.h"

#include <cudnn.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "cuda_emulator.h"
#include "kernels/base/half.h"

using tandem::BF16, tandem::F16;

struct cudnnContext {
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::vector<int> sizes;
};
struct cudnnFilterStruct {
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::vector<int> sizes;
};
struct cudnnConvolutionStruct {
  std::vector<int> pads, strides, dilations;
  cudnnConvolutionMode_t mode = CUDNN_CONVOLUTION;
  cudnnDataType_t compute = CUDNN_DATA_FLOAT;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
  int groups = 1;
};

namespace {

FakeCudnnCalls& calls() {
  static FakeCudnnCalls all;
  return all;
}

template <class T>
cudnnStatus_t make(T** object) {
  *object = new T;
  ++calls().objects;
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(T* object) {
  delete object;
  --calls().objects;
  return CUDNN_STATUS_SUCCESS;
}

double load(cudnnDataType_t type, const void* data, int64_t i) {
  switch (type) {
    case CUDNN_DATA_DOUBLE: return static_cast<const double*>(data)[i];
    case CUDNN_DATA_FLOAT: return static_cast<const float*>(data)[i];
    case CUDNN_DATA_HALF: return tandem::to_float(static_cast<const F16*>(data)[i]);
    default: return tandem::to_float(static_cast<const BF16*>(data)[i]);
  }
}
void store(cudnnDataType_t type, void* data, int64_t i, double value) {
  switch (type) {
    case CUDNN_DATA_DOUBLE: static_cast<double*>(data)[i] = value; return;
    case CUDNN_DATA_FLOAT: static_cast<float*>(data)[i] = static_cast<float>(value); return;
    case CUDNN_DATA_HALF: static_cast<F16*>(data)[i] = tandem::to_f16(static_cast<float>(value)); return;
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

enum class Product { kForward, kInputGrad, kWeightGrad };

// One call, with all it needs to be made later.
struct Problem {
  Product product;
  cudnnTensorStruct x, y;
  cudnnFilterStruct w;
  cudnnConvolutionStruct conv;

  bool sizes_fit() const {
    const size_t axes = x.sizes.size();
    if ((axes != 4 && axes != 5) || y.sizes.size() != axes || w.sizes.size() != axes || conv.pads.size() != axes - 2)
      return false;
    if (y.sizes[0] != x.sizes[0] || y.sizes[1] != w.sizes[0] || w.sizes[1] * conv.groups != x.sizes[1] ||
        w.sizes[0] % conv.groups)
      return false;
    for (size_t i = 0; i + 2 < axes; ++i) {  // the documented formula of cudnnGetConvolutionNdForwardOutputDim
      const int reach = (w.sizes[i + 2] - 1) * conv.dilations[i] + 1;
      if (y.sizes[i + 2] != 1 + (x.sizes[i + 2] + 2 * conv.pads[i] - reach) / conv.strides[i]) return false;
    }
    return true;
  }
  cudnnStatus_t status(int algorithm) const {
    if (x.type != y.type || x.type != w.type || conv.mode != CUDNN_CROSS_CORRELATION || !sizes_fit())
      return CUDNN_STATUS_BAD_PARAM;
    const bool f64 = x.type == CUDNN_DATA_DOUBLE;
    if (conv.compute != (f64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT)) return CUDNN_STATUS_NOT_SUPPORTED;
    if (f64 && conv.groups > 1) return CUDNN_STATUS_NOT_SUPPORTED;
    const bool known = algorithm == 1 || (product == Product::kForward && algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM);
    return known ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
  }
  size_t workspace(int algorithm) const { return algorithm == 0 ? 0 : 512 * (1 + static_cast<size_t>(product)); }
  bool tf32() const { return x.type == CUDNN_DATA_FLOAT && conv.math != CUDNN_FMA_MATH; }
};

int64_t count(const std::vector<int>& sizes, size_t from) {
  int64_t all = 1;
  for (size_t i = from; i < sizes.size(); ++i) all *= sizes[i];
  return all;
}

// Calls f(x, w, y) with the indices of every multiply-add, by the definition.
template <class F>
void for_each_product(const Problem& p, F&& f) {
  const auto &xs = p.x.sizes, &ws = p.w.sizes, &ys = p.y.sizes;
  const size_t axes = xs.size();
  const int64_t filters_of_group = ws[0] / p.conv.groups, taps = count(ws, 2), pixels = count(ys, 2);
  for (int64_t plane = 0; plane < int64_t{ys[0]} * ys[1]; ++plane)
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      for (int64_t c = 0; c < ws[1]; ++c)
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t image = plane / ys[1], filter = plane % ys[1];
          int64_t rest_pixel = pixel, rest_tap = tap, at = 0, step = 1;
          bool inside = true;
          for (size_t i = axes; i-- > 2;) {
            const int64_t o = rest_pixel % ys[i], t = rest_tap % ws[i];
            rest_pixel /= ys[i], rest_tap /= ws[i];
            const int64_t in = o * p.conv.strides[i - 2] - p.conv.pads[i - 2] + t * p.conv.dilations[i - 2];
            inside = inside && in >= 0 && in < xs[i];
            at += in * step;
            step *= xs[i];
          }
          const int64_t channel = filter / filters_of_group * ws[1] + c;
          if (inside) f((image * xs[1] + channel) * step + at, (filter * ws[1] + c) * taps + tap, plane * pixels + pixel);
        }
}

struct Operands {
  const void *a, *b;  // x and w, w and dy, x and dy
  void* out;
  void* workspace;
  double alpha, beta;
};

void make_product(const Problem& p, const Operands& o) {
  const std::vector<int>& sizes = p.product == Product::kForward     ? p.y.sizes
                                  : p.product == Product::kInputGrad ? p.x.sizes
                                                                     : p.w.sizes;
  std::vector<double> sums(static_cast<size_t>(count(sizes, 0)));
  const auto read = [&](const void* data, int64_t i) {
    const double value = load(p.x.type, data, i);
    return p.tf32() ? rounded_to_tf32(value) : value;
  };
  for_each_product(p, [&](int64_t x, int64_t w, int64_t y) {
    switch (p.product) {
      case Product::kForward: sums[static_cast<size_t>(y)] += read(o.a, x) * read(o.b, w); return;
      case Product::kInputGrad: sums[static_cast<size_t>(x)] += read(o.a, w) * read(o.b, y); return;
      case Product::kWeightGrad: sums[static_cast<size_t>(w)] += read(o.a, x) * read(o.b, y); return;
    }
  });
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    store(p.x.type, o.out, at, o.alpha * sums[i] + (o.beta != 0 ? o.beta * load(p.x.type, o.out, at) : 0));
  }
}

cudnnStatus_t ask(const Problem& problem, int algorithm, size_t* bytes) {
  const cudnnStatus_t status = problem.status(algorithm);
  if (status == CUDNN_STATUS_SUCCESS) *bytes = problem.workspace(algorithm);
  return status;
}

cudnnStatus_t start(cudnnHandle_t handle, const Problem& problem, int algorithm, Operands operands, const void* alpha,
                    const void* beta, size_t workspace_bytes, const char* name) {
  if (!handle || !alpha || !beta) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (const cudnnStatus_t status = problem.status(algorithm); status != CUDNN_STATUS_SUCCESS) return status;
  const size_t used = problem.workspace(algorithm);
  if (workspace_bytes < used || (used && !operands.workspace)) return CUDNN_STATUS_BAD_PARAM;
  const cudnnDataType_t scalar = problem.x.type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
  operands.alpha = load(scalar, alpha, 0), operands.beta = load(scalar, beta, 0);
  calls().algorithm = algorithm, calls().math = problem.conv.math, calls().groups = problem.conv.groups, calls().workspace = used;
  tandem::emulator::launch(
      {dim3(1), dim3(1)}, handle->stream, name,
      [problem, operands, used] {
        if (used) std::memset(operands.workspace, 0xA5, used);
        make_product(problem, operands);
      },
      operands.a, operands.b, operands.out, operands.workspace);
  return CUDNN_STATUS_SUCCESS;
}

bool positive(int n, const int* values, int least) {
  for (int i = 0; i < n; ++i)
    if (values[i] < least) return false;
  return true;
}

}  // namespace

extern "C" {

FakeCudnnCalls fake_cudnn_calls() { return calls(); }
cudaStream_t fake_cudnn_stream(cudnnHandle_t handle) { return handle->stream; }

size_t cudnnGetVersion() { return 91900; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "an error of the stand-in"; }
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  if (const char* refused = std::getenv("FAKE_CUDNN_REFUSES")) return static_cast<cudnnStatus_t>(std::atoi(refused));
  *handle = new cudnnContext;
  ++calls().handles;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete handle;
  --calls().handles;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* tensor) { return make(tensor); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) { return destroy(tensor); }
cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int axes, const int sizes[],
                                         const int strides[]) {
  if (axes < 4 || axes > CUDNN_DIM_MAX || !positive(axes, sizes, 1)) return CUDNN_STATUS_BAD_PARAM;
  tensor->type = type;
  tensor->sizes.assign(sizes, sizes + axes);
  for (int i = 0; i < axes; ++i)  // only packed ones are known here
    if (strides[i] != count(tensor->sizes, static_cast<size_t>(i) + 1)) return CUDNN_STATUS_NOT_SUPPORTED;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* filter) { return make(filter); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) { return destroy(filter); }
cudnnStatus_t cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type, cudnnTensorFormat_t format,
                                         int axes, const int sizes[]) {
  if (axes > CUDNN_DIM_MAX || !positive(axes, sizes, 1)) return CUDNN_STATUS_BAD_PARAM;
  if (format != CUDNN_TENSOR_NCHW) return CUDNN_STATUS_NOT_SUPPORTED;
  filter->type = type;
  filter->sizes.assign(sizes, sizes + axes);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* convolution) { return make(convolution); }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convolution) { return destroy(convolution); }
cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t convolution, int axes, const int pads[],
                                              const int strides[], const int dilations[], cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  if (axes < 0 || axes > CUDNN_DIM_MAX - 2) return CUDNN_STATUS_BAD_PARAM;
  if (!positive(axes, pads, 0) || !positive(axes, strides, 1) || !positive(axes, dilations, 1)) return CUDNN_STATUS_BAD_PARAM;
  convolution->pads.assign(pads, pads + axes);
  convolution->strides.assign(strides, strides + axes);
  convolution->dilations.assign(dilations, dilations + axes);
  convolution->mode = mode, convolution->compute = compute;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convolution, int groups) {
  if (groups < 1) return CUDNN_STATUS_BAD_PARAM;
  convolution->groups = groups;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, cudnnMathType_t math) {
  convolution->math = math;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                                                      cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t y,
                                                      cudnnConvolutionFwdAlgo_t algorithm, size_t* bytes) {
  return ask({Product::kForward, *x, *y, *w, *conv}, algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha, cudnnTensorDescriptor_t x, const void* x_data,
                                      cudnnFilterDescriptor_t w, const void* w_data, cudnnConvolutionDescriptor_t conv,
                                      cudnnConvolutionFwdAlgo_t algorithm, void* workspace, size_t bytes, const void* beta,
                                      cudnnTensorDescriptor_t y, void* y_data) {
  ++calls().forward;
  return start(handle, {Product::kForward, *x, *y, *w, *conv}, algorithm, {x_data, w_data, y_data, workspace, 0, 0}, alpha, beta,
               bytes, "cudnnConvolutionForward");
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, cudnnFilterDescriptor_t w, cudnnTensorDescriptor_t dy,
                                                           cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t algorithm, size_t* bytes) {
  return ask({Product::kInputGrad, *dx, *dy, *w, *conv}, algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha, cudnnFilterDescriptor_t w, const void* w_data,
                                           cudnnTensorDescriptor_t dy, const void* dy_data, cudnnConvolutionDescriptor_t conv,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace, size_t bytes,
                                           const void* beta, cudnnTensorDescriptor_t dx, void* dx_data) {
  ++calls().input_grads;
  return start(handle, {Product::kInputGrad, *dx, *dy, *w, *conv}, algorithm, {w_data, dy_data, dx_data, workspace, 0, 0}, alpha,
               beta, bytes, "cudnnConvolutionBackwardData");
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t dy,
                                                             cudnnConvolutionDescriptor_t conv, cudnnFilterDescriptor_t dw,
                                                             cudnnConvolutionBwdFilterAlgo_t algorithm, size_t* bytes) {
  return ask({Product::kWeightGrad, *x, *dy, *dw, *conv}, algorithm, bytes);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha, cudnnTensorDescriptor_t x,
                                             const void* x_data, cudnnTensorDescriptor_t dy, const void* dy_data,
                                             cudnnConvolutionDescriptor_t conv, cudnnConvolutionBwdFilterAlgo_t algorithm,
                                             void* workspace, size_t bytes, const void* beta, cudnnFilterDescriptor_t dw,
                                             void* dw_data) {
  ++calls().weight_grads;
  return start(handle, {Product::kWeightGrad, *x, *dy, *dw, *conv}, algorithm, {x_data, dy_data, dw_data, workspace, 0, 0}, alpha,
               beta, bytes, "cudnnConvolutionBackwardFilter");
}

}  // extern "C"
