// Tensors of a request: from JSON arrays and from binary blobs. For this folder only.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "runtime/graph/tensor.h"

namespace simdjson::dom {
class parser;
}

namespace tandem {

// `data` is the text of an array, brackets matched, flat or nested to `shape`; `input` names it in errors. `parser` is scratch. Nothing is allocated for
// more elements than the text can hold.
Tensor tensor_of_json(std::string_view data, DType dtype, const Shape& shape, std::string_view input, simdjson::dom::parser& parser);

// Little-endian, row-major; strings as a 32-bit length and the bytes each. The blob must fit to the byte. `owner`: what
// keeps it; numbers then stay where they are, unless they are not aligned there.
Tensor tensor_of_binary(std::string_view blob, DType dtype, const Shape& shape, std::string_view input, const std::shared_ptr<std::byte[]>& owner = nullptr);

}  // namespace tandem
