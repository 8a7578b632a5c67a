#include "kernels/cuda/device/session.h"

#include "kernels/base/error.h"
#include "kernels/cuda/library/cublas_lt.h"
#include "kernels/cuda/library/cudnn.h"
#include "kernels/cuda/library/library.h"

namespace tandem::cuda {
namespace {

// Null if the library does not start, such as a cuDNN without its other files.
template <class EntryPoints>
void* create(const EntryPoints& library, std::string_view call, std::string* problem) {
  void* handle = nullptr;
  const int status = library.create(&handle);
  if (status == 0) return handle;
  *problem = std::string(call) + " failed with status " + std::to_string(status) + ": " + library.status_text(status);
  return nullptr;
}

}  // namespace

Session::~Session() {
  kept_.clear();
  if (blas_) cublas_lt()->destroy(blas_);
  if (dnn_) cudnn()->destroy(dnn_);
}

void* Session::blas() {
  const CublasLt* const library = cublas_lt();
  if (library && !blas_ && blas_problem_.empty()) blas_ = create(*library, "cublasLtCreate", &blas_problem_);
  return blas_;
}

void* Session::dnn() {
  const Cudnn* const library = cudnn();
  if (!library || dnn_ || !dnn_problem_.empty()) return dnn_;
  void* const handle = create(*library, "cudnnCreate", &dnn_problem_);
  if (!handle) return nullptr;
  if (const int status = library->set_stream(handle, stream_); status != 0) {
    library->destroy(handle);
    fail(ErrorCode::kDevice, "a library of the GPU failed (call, status, meaning)",
         {"cudnnSetStream", status, std::string_view(library->status_text(status))});
  }
  return dnn_ = handle;
}

}  // namespace tandem::cuda
