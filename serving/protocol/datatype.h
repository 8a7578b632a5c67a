// The names that the Open Inference Protocol v2 gives the element types: "FP32" on the wire, "TYPE_FP32" in a model's
// configuration.
#pragma once

#include <string>
#include <string_view>

#include "kernels/base/dtype.h"

namespace tandem {

// "" for kUndefined.
std::string_view wire_name(DType dtype);
// kUndefined for a name that is none.
DType dtype_of_wire_name(std::string_view name);
// "TYPE_FP32"; strings are "TYPE_STRING", though "BYTES" on the wire.
std::string config_name(DType dtype);

}  // namespace tandem
