// The part of cuDNN 9's C interface that is used, after cudnn_graph_v9.h, cudnn_ops_v9.h and cudnn_cnn_v9.h; enums are ints.
// Whoever needs more adds it here and in table.cpp.
#pragma once

#include <cstddef>

namespace tandem::cuda {

struct Cudnn {
  using Handle = void*;
  using Tensor = void*;       // cudnnTensorDescriptor_t
  using Filter = void*;       // cudnnFilterDescriptor_t
  using Convolution = void*;  // cudnnConvolutionDescriptor_t

  // The thousands of a status say what kind it is: bad parameters 2, not supported 3.
  enum Status { kSuccess = 0, kBadParameter = 2000, kNotSupported = 3000, kInternalError = 4000 };
  enum Type { kF32 = 0, kF64 = 1, kF16 = 2, kBF16 = 9 };  // cudnnDataType_t
  enum Format { kChannelsFirst = 0 };                     // CUDNN_TENSOR_NCHW
  enum Mode { kCrossCorrelation = 1 };
  enum MathType { kDefault = 0, kTensorOps = 1, kFma = 3 };  // from Ampere on the default lets f32 be rounded to TF32
  enum Forward { kImplicitGemm = 0, kImplicitPrecomputedGemm = 1 };
  enum Backward {
    kDeterministic = 1
  };  // CUDNN_CONVOLUTION_BWD_DATA_ALGO_1 and CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1; 0 adds with atomics

  size_t (*version)();
  const char* (*status_text)(int);
  int (*create)(Handle*);
  int (*destroy)(Handle);
  int (*set_stream)(Handle, void* stream);

  int (*create_tensor)(Tensor*);
  int (*destroy_tensor)(Tensor);
  int (*set_tensor)(Tensor, int type, int axes, const int* sizes, const int* strides);
  int (*create_filter)(Filter*);
  int (*destroy_filter)(Filter);
  int (*set_filter)(Filter, int type, int format, int axes, const int* sizes);
  int (*create_convolution)(Convolution*);
  int (*destroy_convolution)(Convolution);
  int (*set_convolution)(Convolution, int spatial_axes, const int* pads, const int* strides, const int* dilations, int mode,
                         int compute_type);
  int (*set_groups)(Convolution, int groups);
  int (*set_math)(Convolution, int math);

  // output = alpha * Op(inputs) + beta * output; alpha and beta are float, or double for f64.
  int (*forward_workspace)(Handle, Tensor x, Filter w, Convolution, Tensor y, int algorithm, size_t* bytes);
  int (*forward)(Handle, const void* alpha, Tensor, const void* x, Filter, const void* w, Convolution, int algorithm,
                 void* workspace, size_t workspace_bytes, const void* beta, Tensor, void* y);
  int (*input_grad_workspace)(Handle, Filter w, Tensor dy, Convolution, Tensor dx, int algorithm, size_t* bytes);
  int (*input_grad)(Handle, const void* alpha, Filter, const void* w, Tensor, const void* dy, Convolution, int algorithm,
                    void* workspace, size_t workspace_bytes, const void* beta, Tensor, void* dx);
  int (*weight_grad_workspace)(Handle, Tensor x, Tensor dy, Convolution, Filter dw, int algorithm, size_t* bytes);
  int (*weight_grad)(Handle, const void* alpha, Tensor, const void* x, Tensor, const void* dy, Convolution, int algorithm,
                     void* workspace, size_t workspace_bytes, const void* beta, Filter, void* dw);
};

}  // namespace tandem::cuda
