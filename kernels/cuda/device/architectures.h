// Which GPUs the kernels of this build are compiled for.
#pragma once

#include <string>

namespace tandem::cuda {

// Whether kernels run on a GPU of this compute capability: on those they were compiled for and on newer ones. The emulator runs on any.
bool compiled_for(int major, int minor);

// "8.0, 9.0"; "any" for the emulator.
std::string compiled_architectures();

}  // namespace tandem::cuda
