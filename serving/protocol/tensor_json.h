// Tensors of a request: from JSON arrays and from binary blobs. For this folder only.
#pragma once

#include <string_view>

#include "runtime/graph/tensor.h"

namespace simdjson::dom {
class array;
}

namespace tandem {

// `data` is flat, or nested to `shape`; `input` names it in errors. `json_bytes` bounds the number of elements there can be.
Tensor tensor_of_json(const simdjson::dom::array& data, DType dtype, const Shape& shape, std::string_view input,
                      size_t json_bytes);

// Little-endian, row-major; strings as a 32-bit length and the bytes each. The blob must fit to the byte.
Tensor tensor_of_binary(std::string_view blob, DType dtype, const Shape& shape, std::string_view input);

}  // namespace tandem
