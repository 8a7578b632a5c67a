// What a plan for a GPU does on which side in one run, and what crosses between the two memories.
#pragma once

#include "runtime/plan/plan.h"

namespace tandem {

struct Traffic {
  int64_t to_device = 0, to_host = 0;        // bytes at the bounds of the plan
  int64_t device_steps = 0, host_steps = 0;  // kernels on each side
};

Traffic traffic_of(const Plan& plan);

// "cuda", "cpu", "to gpu", "to cpu" or "view".
std::string_view side_name(StepKind kind);

}  // namespace tandem
