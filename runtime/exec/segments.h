// How the schedule of a plan falls into stretches that run on one side, the CPU or the GPU, without waiting for the other.
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/plan/plan.h"

namespace tandem {

// Steps [first, last).
struct Segment {
  size_t first, last;
  bool on_device;
  bool captures = true;  // on the device: whether each run does the same with the same addresses
};

std::vector<Segment> find_segments(const Plan& plan);

// Whether ranks talk to each other from the GPU.
bool has_device_collectives(const Plan& plan);

}  // namespace tandem
