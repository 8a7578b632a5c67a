#include "runtime/device/cuda_report.h"

#include <optional>

#include "kernels/base/error.h"
#include "kernels/cuda/device/architectures.h"
#include "kernels/cuda/device/session.h"
#include "kernels/cuda/library/library.h"

namespace tandem {
namespace {

// A library that is there may yet not start: a cuDNN without its other files, a driver too old for it, memory that is used up.
// Only a session on a GPU tells.
class Trial {
 public:
  explicit Trial(const CudaProbe& probe) {
    if (probe.devices.empty()) return;
    try {
      device_ = open_cuda(probe.devices[0].ordinal);
      stream_ = device_->make_stream();
      session_.emplace(stream_->handle());
    } catch (const Error& error) {
      problem_ = "the GPU cannot be used: " + std::string(error.what());
    }
  }

  // Why a library that was found does not start; "" if it does, or if there is no GPU to try it on.
  std::string problem_of(cuda::Library library) {
    const bool blas = library == cuda::Library::kCublasLt;
    if (!blas && library != cuda::Library::kCudnn) return "";  // those have no handle
    if (!session_) return problem_;
    try {
      blas ? session_->blas() : session_->dnn();
    } catch (const Error& error) {
      return error.what();
    }
    return blas ? session_->blas_problem() : session_->dnn_problem();
  }

 private:
  std::shared_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  std::optional<cuda::Session> session_;
  std::string problem_;
};

}  // namespace

CudaReport cuda_report() {
  CudaReport report{.probe = probe_cuda(), .architectures = cuda::compiled_architectures(), .libraries = {}};
  Trial trial(report.probe);
  for (const cuda::Library library : cuda::kLibraries) {
    const cuda::LibraryStatus& status = cuda::library_status(library);
    report.libraries.push_back({.name = std::string(status.name),
                                .path = status.path,
                                .version = status.version > 0 ? cuda::version_text(status.version) : "",
                                .problem = status.usable() ? trial.problem_of(library) : status.problem,
                                .without = std::string(status.consequence)});
  }
  return report;
}

}  // namespace tandem
