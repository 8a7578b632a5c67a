// A build without the CUDA backend.
#include "kernels/base/error.h"
#include "runtime/exec/dry_run.h"

namespace tandem {

std::vector<StepCost> dry_run(const Plan&, cuda::Math) {
  fail(ErrorCode::kUnavailable, "this program was built without CUDA: it has no kernels whose launches could be listed");
}

}  // namespace tandem
