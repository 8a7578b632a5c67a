// Between all element types, and numbers from and to text.
#pragma once

#include <string>
#include <vector>

#include "kernels/base/kernel_context.h"
#include "kernels/base/narrow_convert.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// Every type but strings to every other, element by element as kernels/api/convert.h says.
void cast(const KernelContext&, ConstTensorView x, TensorView y, NarrowRules rules);
// Texts to numbers or bool: decimal or scientific notation, inf, infinity and nan in either case, a sign, blanks around. An
// integer may be written as a float (it is cut); bool is whether the number is not 0. Throws InvalidArgument naming an element
// that is no number.
void parse_numbers(const KernelContext&, ConstTensorView x, TensorView y, NarrowRules rules);
// One text an element, as onnxruntime writes them: 8 digits where they do (a double gets as many as bring it back), 1e+20, NaN,
// INF, -INF; bools are 1 and 0.
std::vector<std::string> format_numbers(ConstTensorView x);

}  // namespace tandem::cpu
