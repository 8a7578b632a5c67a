// All that is to be said of CUDA here: GPUs, versions, what this build has code for, the libraries that make it fast.
#pragma once

#include <string>
#include <vector>

#include "runtime/device/device.h"

namespace tandem {

// A library that is looked for when it is first used, and done without where it is missing.
struct CudaLibrary {
  std::string name;     // "cuBLASLt"
  std::string path;     // where it was found; "" if it was not
  std::string version;  // "13.0.2", "" if it was not found or does not say
  std::string problem;  // why it is not used: missing, too old, a symbol that is not there, or it does not start
  std::string without;  // what is done without it, and what that costs
};

struct CudaReport {
  CudaProbe probe;
  std::string architectures;  // compute capabilities that this build has code for: "8.0, 9.0"; "" without CUDA
  std::vector<CudaLibrary> libraries;
};

// Starts the libraries on the first GPU, if there is one, and ends them again. Never throws.
CudaReport cuda_report();

}  // namespace tandem
