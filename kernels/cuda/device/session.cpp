#include "kernels/cuda/device/session.h"

#include "kernels/base/error.h"
#include "kernels/cuda/library/cublas_lt.h"
#include "kernels/cuda/library/cudnn.h"
#include "kernels/cuda/library/library.h"

namespace tandem::cuda {
namespace {

template <class EntryPoints>
void must(const EntryPoints& library, int status, std::string_view call) {
  check(status == 0, ErrorCode::kDevice, "a library of the GPU failed (call, status, meaning)", call, status,
        std::string_view(library.status_text(status)));
}

}  // namespace

Session::~Session() {
  kept_.clear();
  if (blas_) cublas_lt()->destroy(blas_);
  if (dnn_) cudnn()->destroy(dnn_);
}

void* Session::blas() {
  const CublasLt* const library = cublas_lt();
  if (library && !blas_) must(*library, library->create(&blas_), "cublasLtCreate");
  return blas_;
}

void* Session::dnn() {
  const Cudnn* const library = cudnn();
  if (!library || dnn_) return dnn_;
  void* handle = nullptr;
  must(*library, library->create(&handle), "cudnnCreate");
  if (const int status = library->set_stream(handle, stream_); status != 0) {
    library->destroy(handle);
    must(*library, status, "cudnnSetStream");
  }
  return dnn_ = handle;
}

}  // namespace tandem::cuda
