// What a plan for a GPU would launch there, and how much each step moves and computes: found without a device, with made-up
// addresses.
#pragma once

#include <string>
#include <vector>

#include "kernels/cuda/device/session.h"
#include "runtime/plan/plan.h"

namespace tandem {

// A step of the GPU, at the bounds of the plan.
struct StepCost {
  size_t step = 0;  // of plan.steps
  std::string op, output;
  DType dtype = DType::kUndefined;  // of the first output
  bool is_product = false;          // a matrix product or a convolution: what tensor cores do
  // Each tensor counts once, whole: an op that picks rows of a table reads less.
  int64_t bytes_read = 0, bytes_written = 0;
  double flops = 0;
  std::vector<cuda::LaunchRecord> launches;  // none: nothing is to be done, and nothing moves
};

// The steps of the GPU, in their order. Nothing is launched. Throws InvalidArgument for a plan for the CPU, Unavailable in a
// build without CUDA.
std::vector<StepCost> dry_run(const Plan& plan, cuda::Math math);

}  // namespace tandem
