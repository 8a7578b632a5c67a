// The one list of the libraries that are opened at run time.
#include "kernels/base/error.h"
#include "kernels/cuda/library/cublas_lt.h"
#include "kernels/cuda/library/cudnn.h"
#include "kernels/cuda/library/library.h"
#include "kernels/cuda/library/nccl.h"
#include "kernels/cuda/library/nvrtc.h"

namespace tandem::cuda {
namespace {

// cublasLtGetVersion and cudnnGetVersion return it in the form used here.
int64_t returned(void* symbol) { return static_cast<int64_t>(reinterpret_cast<size_t (*)()>(symbol)()); }

int64_t of_nvrtc(void* symbol) {
  int major = 0, minor = 0;
  if (reinterpret_cast<decltype(Nvrtc::version)>(symbol)(&major, &minor) != 0) return 0;
  return major * 10000 + minor * 100;
}

// Before 2.9 the major number counted thousands.
int64_t of_nccl(void* symbol) {
  int version = 0;
  if (reinterpret_cast<decltype(Nccl::version)>(symbol)(&version) != 0) return 0;
  return version < 10000 ? version / 1000 * 10000 + version % 1000 : version;
}

std::vector<LibraryEntry> make_table() {
  return {
      {.name = "cuBLASLt",
       .sonames = {"libcublasLt.so.13", "libcublasLt.so.12"},
       .least_version = 120000,
       .version_symbol = "cublasLtGetVersion",
       .read_version = returned,
       .symbols = {{"cublasLtGetVersion", offsetof(CublasLt, version)},
                   {"cublasLtGetStatusString", offsetof(CublasLt, status_text)},
                   {"cublasLtCreate", offsetof(CublasLt, create)},
                   {"cublasLtDestroy", offsetof(CublasLt, destroy)},
                   {"cublasLtMatmulDescCreate", offsetof(CublasLt, create_descriptor)},
                   {"cublasLtMatmulDescDestroy", offsetof(CublasLt, destroy_descriptor)},
                   {"cublasLtMatmulDescSetAttribute", offsetof(CublasLt, set_descriptor)},
                   {"cublasLtMatrixLayoutCreate", offsetof(CublasLt, create_layout)},
                   {"cublasLtMatrixLayoutDestroy", offsetof(CublasLt, destroy_layout)},
                   {"cublasLtMatrixLayoutSetAttribute", offsetof(CublasLt, set_layout)},
                   {"cublasLtMatmulPreferenceCreate", offsetof(CublasLt, create_preference)},
                   {"cublasLtMatmulPreferenceDestroy", offsetof(CublasLt, destroy_preference)},
                   {"cublasLtMatmulPreferenceSetAttribute", offsetof(CublasLt, set_preference)},
                   {"cublasLtMatmulAlgoGetHeuristic", offsetof(CublasLt, find_algorithms)},
                   {"cublasLtMatmul", offsetof(CublasLt, multiply)}},
       .consequence = "matrix products run on Tandem's own kernels, which are slower for large matrices"},
      {.name = "cuDNN",
       .sonames = {"libcudnn.so.9"},
       .least_version = 90000,
       .version_symbol = "cudnnGetVersion",
       .read_version = returned,
       .symbols = {{"cudnnGetVersion", offsetof(Cudnn, version)},
                   {"cudnnGetErrorString", offsetof(Cudnn, status_text)},
                   {"cudnnCreate", offsetof(Cudnn, create)},
                   {"cudnnDestroy", offsetof(Cudnn, destroy)},
                   {"cudnnSetStream", offsetof(Cudnn, set_stream)},
                   {"cudnnCreateTensorDescriptor", offsetof(Cudnn, create_tensor)},
                   {"cudnnDestroyTensorDescriptor", offsetof(Cudnn, destroy_tensor)},
                   {"cudnnSetTensorNdDescriptor", offsetof(Cudnn, set_tensor)},
                   {"cudnnCreateFilterDescriptor", offsetof(Cudnn, create_filter)},
                   {"cudnnDestroyFilterDescriptor", offsetof(Cudnn, destroy_filter)},
                   {"cudnnSetFilterNdDescriptor", offsetof(Cudnn, set_filter)},
                   {"cudnnCreateConvolutionDescriptor", offsetof(Cudnn, create_convolution)},
                   {"cudnnDestroyConvolutionDescriptor", offsetof(Cudnn, destroy_convolution)},
                   {"cudnnSetConvolutionNdDescriptor", offsetof(Cudnn, set_convolution)},
                   {"cudnnSetConvolutionGroupCount", offsetof(Cudnn, set_groups)},
                   {"cudnnSetConvolutionMathType", offsetof(Cudnn, set_math)},
                   {"cudnnGetConvolutionForwardWorkspaceSize", offsetof(Cudnn, forward_workspace)},
                   {"cudnnConvolutionForward", offsetof(Cudnn, forward)},
                   {"cudnnGetConvolutionBackwardDataWorkspaceSize", offsetof(Cudnn, input_grad_workspace)},
                   {"cudnnConvolutionBackwardData", offsetof(Cudnn, input_grad)},
                   {"cudnnGetConvolutionBackwardFilterWorkspaceSize", offsetof(Cudnn, weight_grad_workspace)},
                   {"cudnnConvolutionBackwardFilter", offsetof(Cudnn, weight_grad)}},
       .consequence = "convolutions run on Tandem's own kernels, which are slower"},
      {.name = "NVRTC",
       .sonames = {"libnvrtc.so.13", "libnvrtc.so.12"},
       .least_version = 120000,
       .version_symbol = "nvrtcVersion",
       .read_version = of_nvrtc,
       .symbols = {{"nvrtcVersion", offsetof(Nvrtc, version)},
                   {"nvrtcGetErrorString", offsetof(Nvrtc, status_text)},
                   {"nvrtcCreateProgram", offsetof(Nvrtc, create)},
                   {"nvrtcDestroyProgram", offsetof(Nvrtc, destroy)},
                   {"nvrtcCompileProgram", offsetof(Nvrtc, compile)},
                   {"nvrtcGetProgramLogSize", offsetof(Nvrtc, log_bytes)},
                   {"nvrtcGetProgramLog", offsetof(Nvrtc, log)},
                   {"nvrtcGetCUBINSize", offsetof(Nvrtc, cubin_bytes)},
                   {"nvrtcGetCUBIN", offsetof(Nvrtc, cubin)}},
       .consequence = "nothing is lost: no kernel is compiled at run time yet"},
      {.name = "NCCL",
       .sonames = {"libnccl.so.2"},
       .least_version = 21800,
       .version_symbol = "ncclGetVersion",
       .read_version = of_nccl,
       .symbols = {{"ncclGetVersion", offsetof(Nccl, version)},
                   {"ncclGetErrorString", offsetof(Nccl, status_text)},
                   {"ncclGetLastError", offsetof(Nccl, last_error)},
                   {"ncclGetUniqueId", offsetof(Nccl, unique_id)},
                   {"ncclCommInitRankConfig", offsetof(Nccl, create)},
                   {"ncclCommFinalize", offsetof(Nccl, finalize)},
                   {"ncclCommDestroy", offsetof(Nccl, destroy)},
                   {"ncclCommAbort", offsetof(Nccl, abort)},
                   {"ncclCommGetAsyncError", offsetof(Nccl, asynchronous_error)},
                   {"ncclAllReduce", offsetof(Nccl, all_reduce)},
                   {"ncclBroadcast", offsetof(Nccl, broadcast)},
                   {"ncclAllGather", offsetof(Nccl, all_gather)}},
       .consequence = "gradients of several GPUs are exchanged through the CPUs' memory, after the backward pass and outside "
                      "of the captured step; nothing is lost on one GPU"},
  };
}

template <class EntryPoints>
struct Loaded {
  EntryPoints entry_points{};
  LibraryStatus status;
  explicit Loaded(Library library) : status(open_library(library_entry(library), library_folders(), &entry_points)) {}
};

const Loaded<CublasLt>& loaded_cublas_lt() {
  static const Loaded<CublasLt> one(Library::kCublasLt);
  return one;
}
const Loaded<Nvrtc>& loaded_nvrtc() {
  static const Loaded<Nvrtc> one(Library::kNvrtc);
  return one;
}
// Its parts look for cuBLASLt and NVRTC by name only, and find them when they are open.
const Loaded<Cudnn>& loaded_cudnn() {
  loaded_cublas_lt();
  loaded_nvrtc();
  static const Loaded<Cudnn> one(Library::kCudnn);
  return one;
}
const Loaded<Nccl>& loaded_nccl() {
  static const Loaded<Nccl> one(Library::kNccl);
  return one;
}

template <class EntryPoints>
const EntryPoints* usable(const Loaded<EntryPoints>& loaded) {
  return loaded.status.usable() ? &loaded.entry_points : nullptr;
}

}  // namespace

const LibraryEntry& library_entry(Library library) {
  static const std::vector<LibraryEntry> table = make_table();
  return table.at(static_cast<size_t>(library));
}

const LibraryStatus& library_status(Library library) {
  switch (library) {
    case Library::kCublasLt: return loaded_cublas_lt().status;
    case Library::kCudnn: return loaded_cudnn().status;
    case Library::kNvrtc: return loaded_nvrtc().status;
    case Library::kNccl: return loaded_nccl().status;
  }
  fail(ErrorCode::kInternal, "no such library", {static_cast<int>(library)});
}

const CublasLt* cublas_lt() { return usable(loaded_cublas_lt()); }
const Cudnn* cudnn() { return usable(loaded_cudnn()); }
const Nvrtc* nvrtc() { return usable(loaded_nvrtc()); }
const Nccl* nccl() { return usable(loaded_nccl()); }

}  // namespace tandem::cuda
