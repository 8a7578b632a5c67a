// The names that the Open Inference Protocol v2 gives the element types: "FP32".
#pragma once

#include <string_view>

#include "kernels/base/dtype.h"

namespace tandem {

// "" for kUndefined.
std::string_view wire_name(DType dtype);
// kUndefined for a name that is none.
DType dtype_of_wire_name(std::string_view name);

}  // namespace tandem
