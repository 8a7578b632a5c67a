// Runs a case on the device: compared with the CPU's twin, or timed by events.
#pragma once

#include "bench/kernels/cuda/case.h"

namespace tandem::bench {

// The norm of the difference of all outputs by the norm of the CPU's. Throws Error if CUDA does.
double difference(const Case& one);

struct Timing {
  double median_us = 0, p90_us = 0;
  int runs = 0;
};
// Runs the kernel for about `seconds`, in groups long enough for the clock of the events. Throws Error also if an output is not written.
Timing time_on_device(const Case& one, double seconds);

// A captured graph of `kernels` small kernels: what its launch costs the CPU, and what each kernel of it takes.
struct GraphTiming {
  double launch_us = 0, kernel_us = 0;
};
GraphTiming time_graph(int kernels, double seconds);

// The rate of cudaMemcpy from device to device, in bytes read and written a second: what memory can do.
double copy_bandwidth(double seconds);

std::string device_name();

}  // namespace tandem::bench
