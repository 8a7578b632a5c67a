#include "runtime/device/cuda_report.h"

#include "kernels/cuda/device/architectures.h"
#include "kernels/cuda/library/library.h"

namespace tandem {

CudaReport cuda_report() {
  CudaReport report{.probe = probe_cuda(), .architectures = cuda::compiled_architectures(), .libraries = {}};
  for (const cuda::Library library : cuda::kLibraries) {
    const cuda::LibraryStatus& status = cuda::library_status(library);
    report.libraries.push_back({.name = std::string(status.name),
                                .path = status.path,
                                .version = status.version > 0 ? cuda::version_text(status.version) : "",
                                .problem = status.problem,
                                .without = std::string(status.consequence)});
  }
  return report;
}

}  // namespace tandem
