// Whether a value is what a test case expects, by the rule of ONNX's own test runner.
#pragma once

#include <string>

#include "runtime/graph/run_value.h"

namespace tandem {

// |got - expected| <= absolute + relative * |expected|, as numpy.allclose.
struct Tolerance {
  double relative = 1e-3;
  double absolute = 1e-7;
};

// What tells `got` from `expected`, in one line with the first index, both elements and the largest errors; "" if nothing does. Container,
// element type and shape must be equal; f64, f32, f16 and bf16 are compared within the tolerance (a NaN equals a NaN, an infinity only
// itself), all other elements exactly.
std::string difference(const RunValue& got, const RunValue& expected, const Tolerance& tolerance);

// The same for what is random: element types and shapes only.
std::string difference_of_type(const RunValue& got, const RunValue& expected);

}  // namespace tandem
