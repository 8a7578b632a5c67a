// The one place where a status of the CUDA runtime becomes an Error.
#pragma once

#include <string_view>

namespace tandem::cuda {

// Does nothing for cudaSuccess. Else throws Error(kDevice), or kOutOfMemory: the call, CUDA's name and words for the error, and what to do
// about it where that is known. The error is also taken from the thread, so that the next launch does not report it again.
// `status` is a cudaError_t.
void check_cuda(int status, std::string_view call);

// What to do about a cudaError_t, or "". An error after which CUDA refuses every further call of the process says so.
std::string_view cuda_advice(int status);

// Whether no call of this process can succeed after it: an illegal address, a failed launch, a lost device.
bool is_sticky(int status);

}  // namespace tandem::cuda
