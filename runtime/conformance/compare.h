// Whether a value is what a test case expects, by the rule of ONNX's own test runner.
#pragma once

#include <optional>
#include <string>

#include "runtime/graph/run_value.h"

namespace tandem {

// |got - expected| <= absolute + relative * |expected|, as numpy.allclose.
struct Tolerance {
  double relative = 1e-3;
  double absolute = 1e-7;
  std::optional<double> l2 = {};  // in place of both, for a whole tensor: the most that relative_l2 may be
};

// What tells `got` from `expected`, in one line with the first index, both elements and the largest errors; "" if nothing does.
// Container, element type and shape must be equal; f64, f32, f16 and bf16 are compared within the tolerance (a NaN equals a NaN,
// an infinity only itself), all other elements exactly.
std::string difference(const RunValue& got, const RunValue& expected, const Tolerance& tolerance);

// |got - expected| / |expected| in the Euclidean norm, the largest of all tensors of a floating type in it (0 if there are none,
// infinite where one side alone has a NaN or an infinity, |got| for an `expected` of zeros). Both must be of one type and shape.
double relative_l2(const RunValue& got, const RunValue& expected);

// The largest |got - expected| of an element, of integers too; infinite where one side alone has a NaN or an infinity; 0 for text
// and for types without arithmetic. Both must be of one type and shape.
double largest_error(const RunValue& got, const RunValue& expected);

// What difference() says, of containers, element types and shapes only.
std::string difference_of_type(const RunValue& got, const RunValue& expected);

}  // namespace tandem
