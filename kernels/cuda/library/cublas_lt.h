// The part of cuBLASLt's C interface that is used, after cublasLt.h and cublas_api.h of CUDA 13.0 (unchanged since 11.4); enums
// are ints.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tandem::cuda {

struct CublasLt {
  using Handle = void*;
  using Descriptor = void*;  // cublasLtMatmulDesc_t
  using Layout = void*;      // cublasLtMatrixLayout_t
  using Preference = void*;  // cublasLtMatmulPreference_t

  enum Status { kSuccess = 0, kInvalidValue = 7, kArchMismatch = 8, kNotSupported = 15 };
  enum Type { kF32 = 0, kF64 = 1, kF16 = 2, kBF16 = 14 };  // cudaDataType_t
  enum Compute { kCompute32F = 68, kCompute64F = 70, kCompute32FFastTf32 = 77 };
  enum Transpose { kAsIs = 0, kTransposed = 1 };
  enum DescriptorAttribute {
    kTransposeA = 3,
    kTransposeB = 4,
    kEpilogue = 7,
    kBiasPointer = 8,
    kAuxPointer = 11,
    kAuxLeadingDimension = 12,
    kBiasType = 26
  };
  enum LayoutAttribute { kBatchCount = 5, kBatchStride = 6 };
  enum PreferenceAttribute {
    kMostWorkspace = 1,
    kReductionSchemes = 3,
    kAlignmentA = 5,
    kAlignmentB = 6,
    kAlignmentC = 7,
    kAlignmentD = 8
  };
  enum ReductionScheme : uint32_t { kInComputeType = 2 };  // parts of k are added in a fixed order, in the workspace
  // The last four: the auxiliary input is a mask of ReLU's input, or GELU's input; sums of A or B over k go to the bias pointer.
  enum Epilogue { kPlain = 1, kRelu = 2, kBias = 4, kReluBias = 6, kReluGrad = 136, kGeluGrad = 192, kSumA = 256, kSumB = 512 };

  struct Algorithm {
    uint64_t data[8];
  };
  struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
  };

  size_t (*version)();
  const char* (*status_text)(int);
  int (*create)(Handle*);
  int (*destroy)(Handle);
  int (*create_descriptor)(Descriptor*, int compute, int scale_type);
  int (*destroy_descriptor)(Descriptor);
  int (*set_descriptor)(Descriptor, int attribute, const void* value, size_t bytes);
  int (*create_layout)(Layout*, int type, uint64_t rows, uint64_t columns, int64_t ld);
  int (*destroy_layout)(Layout);
  int (*set_layout)(Layout, int attribute, const void* value, size_t bytes);
  int (*create_preference)(Preference*);
  int (*destroy_preference)(Preference);
  int (*set_preference)(Preference, int attribute, const void* value, size_t bytes);
  int (*find_algorithms)(Handle, Descriptor, Layout a, Layout b, Layout c, Layout d, Preference, int most, Heuristic*,
                         int* found);
  int (*multiply)(Handle, Descriptor, const void* alpha, const void* a, Layout, const void* b, Layout, const void* beta,
                  const void* c, Layout, void* d, Layout, const Algorithm*, void* workspace, size_t workspace_bytes,
                  void* stream);
};

}  // namespace tandem::cuda
