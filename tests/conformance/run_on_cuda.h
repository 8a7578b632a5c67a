// Runs the CUDA twin of a case's kernel, on a GPU or on the emulator.
#pragma once

#include "tests/conformance/case.h"

namespace tandem::conformance {

// Whether the op has a twin for these inputs (text never goes to a GPU).
bool has_twin(const Case& one);

// As run_kernel: the kernel alone, on fresh device memory that is filled with `fill` and fenced on both sides. Inputs that the op reads on
// the host stay there. REQUIRES has_twin(one).
std::vector<Tensor> run_twin(const Case& one, std::byte fill, const Alias* in_place);

}  // namespace tandem::conformance
