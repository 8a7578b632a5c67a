// Our declarations of NVIDIA's C interfaces against the headers, where those are: numbers, sizes, kinds of arguments.
#include <gtest/gtest.h>

#include <cstddef>
#include <type_traits>

#include "kernels/cuda/library/cublas_lt.h"
#include "kernels/cuda/library/cudnn.h"
#include "kernels/cuda/library/nccl.h"
#include "kernels/cuda/library/nvrtc.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#endif
#if __has_include(<cudnn.h>)
#include <cudnn.h>
#endif
#if __has_include(<nvrtc.h>)
#include <nvrtc.h>
#endif
#if __has_include(<nccl.h>)
#include <nccl.h>
#endif

namespace tandem::cuda {
namespace {

// Enums travel as int, every pointer as a pointer.
template <class Ours, class Theirs>
constexpr bool fits() {
  if constexpr (std::is_pointer_v<Ours>)
    return std::is_pointer_v<Theirs>;
  else if constexpr (std::is_enum_v<Theirs>)
    return std::is_same_v<Ours, int> && sizeof(Theirs) == sizeof(int);
  else if constexpr (std::is_class_v<Ours>)
    return std::is_class_v<Theirs> && sizeof(Ours) == sizeof(Theirs);
  else
    return std::is_same_v<Ours, Theirs>;
}
template <class Result, class... Ours, class TheirResult, class... Theirs>
constexpr bool same_call(Result (*)(Ours...), TheirResult (*)(Theirs...)) {
  if constexpr (sizeof...(Ours) != sizeof...(Theirs))
    return false;
  else
    return fits<Result, TheirResult>() && (fits<Ours, Theirs>() && ...);
}
template <class Ours, class Theirs>
constexpr bool kSameCall = same_call(Ours{}, std::decay_t<Theirs>{});

void expect(int ours, int theirs) { EXPECT_EQ(ours, theirs); }

#if __has_include(<cublasLt.h>)
static_assert(kSameCall<decltype(CublasLt::version), decltype(cublasLtGetVersion)>);
static_assert(kSameCall<decltype(CublasLt::status_text), decltype(cublasLtGetStatusString)>);
static_assert(kSameCall<decltype(CublasLt::create), decltype(cublasLtCreate)>);
static_assert(kSameCall<decltype(CublasLt::destroy), decltype(cublasLtDestroy)>);
static_assert(kSameCall<decltype(CublasLt::create_descriptor), decltype(cublasLtMatmulDescCreate)>);
static_assert(kSameCall<decltype(CublasLt::destroy_descriptor), decltype(cublasLtMatmulDescDestroy)>);
static_assert(kSameCall<decltype(CublasLt::set_descriptor), decltype(cublasLtMatmulDescSetAttribute)>);
static_assert(kSameCall<decltype(CublasLt::create_layout), decltype(cublasLtMatrixLayoutCreate)>);
static_assert(kSameCall<decltype(CublasLt::destroy_layout), decltype(cublasLtMatrixLayoutDestroy)>);
static_assert(kSameCall<decltype(CublasLt::set_layout), decltype(cublasLtMatrixLayoutSetAttribute)>);
static_assert(kSameCall<decltype(CublasLt::create_preference), decltype(cublasLtMatmulPreferenceCreate)>);
static_assert(kSameCall<decltype(CublasLt::destroy_preference), decltype(cublasLtMatmulPreferenceDestroy)>);
static_assert(kSameCall<decltype(CublasLt::set_preference), decltype(cublasLtMatmulPreferenceSetAttribute)>);
static_assert(kSameCall<decltype(CublasLt::find_algorithms), decltype(cublasLtMatmulAlgoGetHeuristic)>);
static_assert(kSameCall<decltype(CublasLt::multiply), decltype(cublasLtMatmul)>);
static_assert(sizeof(CublasLt::Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(CublasLt::Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(CublasLt::Heuristic, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(CublasLt::Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));

TEST(LibraryInterface, CublasLtNumbers) {
  expect(CublasLt::kSuccess, CUBLAS_STATUS_SUCCESS);
  expect(CublasLt::kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED);
  expect(CublasLt::kF32, CUDA_R_32F);
  expect(CublasLt::kF64, CUDA_R_64F);
  expect(CublasLt::kF16, CUDA_R_16F);
  expect(CublasLt::kBF16, CUDA_R_16BF);
  expect(CublasLt::kCompute32F, CUBLAS_COMPUTE_32F);
  expect(CublasLt::kCompute64F, CUBLAS_COMPUTE_64F);
  expect(CublasLt::kCompute32FFastTf32, CUBLAS_COMPUTE_32F_FAST_TF32);
  expect(CublasLt::kAsIs, CUBLAS_OP_N);
  expect(CublasLt::kTransposed, CUBLAS_OP_T);
  expect(CublasLt::kTransposeA, CUBLASLT_MATMUL_DESC_TRANSA);
  expect(CublasLt::kTransposeB, CUBLASLT_MATMUL_DESC_TRANSB);
  expect(CublasLt::kEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
  expect(CublasLt::kBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
  expect(CublasLt::kBiasType, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
  expect(CublasLt::kBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
  expect(CublasLt::kBatchStride, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
  expect(CublasLt::kMostWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
  expect(CublasLt::kReductionSchemes, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
  expect(CublasLt::kAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
  expect(CublasLt::kAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
  expect(CublasLt::kAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
  expect(CublasLt::kAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
  expect(CublasLt::kInComputeType, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
  expect(CublasLt::kPlain, CUBLASLT_EPILOGUE_DEFAULT);
  expect(CublasLt::kRelu, CUBLASLT_EPILOGUE_RELU);
  expect(CublasLt::kBias, CUBLASLT_EPILOGUE_BIAS);
  expect(CublasLt::kReluBias, CUBLASLT_EPILOGUE_RELU_BIAS);
}
#endif

#if __has_include(<cudnn.h>)
static_assert(kSameCall<decltype(Cudnn::version), decltype(cudnnGetVersion)>);
static_assert(kSameCall<decltype(Cudnn::status_text), decltype(cudnnGetErrorString)>);
static_assert(kSameCall<decltype(Cudnn::create), decltype(cudnnCreate)>);
static_assert(kSameCall<decltype(Cudnn::destroy), decltype(cudnnDestroy)>);
static_assert(kSameCall<decltype(Cudnn::set_stream), decltype(cudnnSetStream)>);
static_assert(kSameCall<decltype(Cudnn::create_tensor), decltype(cudnnCreateTensorDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::destroy_tensor), decltype(cudnnDestroyTensorDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::set_tensor), decltype(cudnnSetTensorNdDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::create_filter), decltype(cudnnCreateFilterDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::destroy_filter), decltype(cudnnDestroyFilterDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::set_filter), decltype(cudnnSetFilterNdDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::create_convolution), decltype(cudnnCreateConvolutionDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::destroy_convolution), decltype(cudnnDestroyConvolutionDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::set_convolution), decltype(cudnnSetConvolutionNdDescriptor)>);
static_assert(kSameCall<decltype(Cudnn::set_groups), decltype(cudnnSetConvolutionGroupCount)>);
static_assert(kSameCall<decltype(Cudnn::set_math), decltype(cudnnSetConvolutionMathType)>);
static_assert(kSameCall<decltype(Cudnn::forward_workspace), decltype(cudnnGetConvolutionForwardWorkspaceSize)>);
static_assert(kSameCall<decltype(Cudnn::forward), decltype(cudnnConvolutionForward)>);
static_assert(kSameCall<decltype(Cudnn::input_grad_workspace), decltype(cudnnGetConvolutionBackwardDataWorkspaceSize)>);
static_assert(kSameCall<decltype(Cudnn::input_grad), decltype(cudnnConvolutionBackwardData)>);
static_assert(kSameCall<decltype(Cudnn::weight_grad_workspace), decltype(cudnnGetConvolutionBackwardFilterWorkspaceSize)>);
static_assert(kSameCall<decltype(Cudnn::weight_grad), decltype(cudnnConvolutionBackwardFilter)>);
static_assert(int{Cudnn::kSuccess} == CUDNN_STATUS_SUCCESS);
static_assert(int{Cudnn::kBadParameter} == CUDNN_STATUS_BAD_PARAM);
static_assert(int{Cudnn::kNotSupported} == CUDNN_STATUS_NOT_SUPPORTED);
static_assert(int{Cudnn::kInternalError} == CUDNN_STATUS_INTERNAL_ERROR);
static_assert(int{Cudnn::kF32} == CUDNN_DATA_FLOAT);
static_assert(int{Cudnn::kF64} == CUDNN_DATA_DOUBLE);
static_assert(int{Cudnn::kF16} == CUDNN_DATA_HALF);
static_assert(int{Cudnn::kBF16} == CUDNN_DATA_BFLOAT16);
static_assert(int{Cudnn::kChannelsFirst} == CUDNN_TENSOR_NCHW);
static_assert(int{Cudnn::kCrossCorrelation} == CUDNN_CROSS_CORRELATION);
static_assert(int{Cudnn::kDefault} == CUDNN_DEFAULT_MATH);
static_assert(int{Cudnn::kTensorOps} == CUDNN_TENSOR_OP_MATH);
static_assert(int{Cudnn::kFma} == CUDNN_FMA_MATH);
static_assert(int{Cudnn::kImplicitGemm} == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM);
static_assert(int{Cudnn::kImplicitPrecomputedGemm} == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM);
static_assert(int{Cudnn::kDeterministic} == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1);
static_assert(int{Cudnn::kDeterministic} == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1);
#endif

#if __has_include(<nvrtc.h>)
static_assert(kSameCall<decltype(Nvrtc::version), decltype(nvrtcVersion)>);
static_assert(kSameCall<decltype(Nvrtc::status_text), decltype(nvrtcGetErrorString)>);
static_assert(kSameCall<decltype(Nvrtc::create), decltype(nvrtcCreateProgram)>);
static_assert(kSameCall<decltype(Nvrtc::destroy), decltype(nvrtcDestroyProgram)>);
static_assert(kSameCall<decltype(Nvrtc::compile), decltype(nvrtcCompileProgram)>);
static_assert(kSameCall<decltype(Nvrtc::log_bytes), decltype(nvrtcGetProgramLogSize)>);
static_assert(kSameCall<decltype(Nvrtc::log), decltype(nvrtcGetProgramLog)>);
static_assert(kSameCall<decltype(Nvrtc::cubin_bytes), decltype(nvrtcGetCUBINSize)>);
static_assert(kSameCall<decltype(Nvrtc::cubin), decltype(nvrtcGetCUBIN)>);
#endif

#if __has_include(<nccl.h>)
static_assert(kSameCall<decltype(Nccl::version), decltype(ncclGetVersion)>);
static_assert(kSameCall<decltype(Nccl::status_text), decltype(ncclGetErrorString)>);
static_assert(kSameCall<decltype(Nccl::unique_id), decltype(ncclGetUniqueId)>);
static_assert(kSameCall<decltype(Nccl::create), decltype(ncclCommInitRankConfig)>);
static_assert(kSameCall<decltype(Nccl::last_error), decltype(ncclGetLastError)>);
static_assert(kSameCall<decltype(Nccl::finalize), decltype(ncclCommFinalize)>);
static_assert(kSameCall<decltype(Nccl::destroy), decltype(ncclCommDestroy)>);
static_assert(kSameCall<decltype(Nccl::abort), decltype(ncclCommAbort)>);
static_assert(kSameCall<decltype(Nccl::asynchronous_error), decltype(ncclCommGetAsyncError)>);
static_assert(kSameCall<decltype(Nccl::all_reduce), decltype(ncclAllReduce)>);
static_assert(kSameCall<decltype(Nccl::broadcast), decltype(ncclBroadcast)>);
static_assert(kSameCall<decltype(Nccl::all_gather), decltype(ncclAllGather)>);

TEST(LibraryInterface, NcclNumbers) {
  expect(Nccl::kSuccess, ncclSuccess);
  expect(Nccl::kRemoteError, ncclRemoteError);
  expect(Nccl::kInProgress, ncclInProgress);
  expect(Nccl::kSum, ncclSum);
  expect(Nccl::kI8, ncclInt8);
  expect(Nccl::kU8, ncclUint8);
  expect(Nccl::kI32, ncclInt32);
  expect(Nccl::kU32, ncclUint32);
  expect(Nccl::kI64, ncclInt64);
  expect(Nccl::kU64, ncclUint64);
  expect(Nccl::kF16, ncclFloat16);
  expect(Nccl::kF32, ncclFloat32);
  expect(Nccl::kF64, ncclFloat64);
  expect(Nccl::kBF16, ncclBfloat16);
}

TEST(LibraryInterface, NcclConfigIsABeginningOfTheirs) {
  const ncclConfig_t theirs = NCCL_CONFIG_INITIALIZER;
  const Nccl::Config ours;
  EXPECT_LE(ours.size, theirs.size);
  EXPECT_EQ(ours.magic, theirs.magic);
  EXPECT_EQ(Nccl::Config::kDefault, NCCL_CONFIG_UNDEF_INT);
  EXPECT_EQ(offsetof(Nccl::Config, magic), offsetof(ncclConfig_t, magic));
  EXPECT_EQ(offsetof(Nccl::Config, version), offsetof(ncclConfig_t, version));
  EXPECT_EQ(offsetof(Nccl::Config, blocking), offsetof(ncclConfig_t, blocking));
  EXPECT_EQ(offsetof(Nccl::Config, cluster_size), offsetof(ncclConfig_t, cgaClusterSize));
  EXPECT_EQ(offsetof(Nccl::Config, most_blocks), offsetof(ncclConfig_t, maxCTAs));
  EXPECT_EQ(offsetof(Nccl::Config, network), offsetof(ncclConfig_t, netName));
  EXPECT_EQ(offsetof(Nccl::Config, shares_when_split), offsetof(ncclConfig_t, splitShare));
#if NCCL_VERSION_CODE >= 22500
  EXPECT_EQ(offsetof(Nccl::Config, traffic_class), offsetof(ncclConfig_t, trafficClass));
#endif
}
#endif

}  // namespace
}  // namespace tandem::cuda
