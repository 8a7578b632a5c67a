// An op's gradient nodes against central finite differences, in f64.
#pragma once

#include <string>

#include "tests/conformance/case.h"

namespace tandem::conformance {

// Whether there is something to check: the op has a gradient, the case asks for it, a fed input is floating and so is an output.
bool has_gradient_check(const Case& one);

// REQUIRES has_gradient_check(one). The loss is sum(outputs * fixed random weights). Returns what is wrong (input, element, both values), "" if nothing is.
std::string check_gradient(const Case& one);

}  // namespace tandem::conformance
