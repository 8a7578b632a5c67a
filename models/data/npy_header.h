// The header of a .npy file: a Python dict literal with exactly the keys descr, fortran_order and shape.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "kernels/base/dtype.h"
#include "kernels/base/shape.h"

namespace tandem {

struct NpyHeader {
  DType dtype = DType::kUndefined;
  char text = 0;             // 'U' (UTF-32) or 'S' (bytes) for string elements, else 0
  size_t element_bytes = 0;  // of one element in the file; 4 times the characters for U
  Shape shape;
  size_t data_offset = 0;
};

// Throws InvalidArgument naming `source` and the byte offset.
NpyHeader parse_npy_header(std::string_view bytes, std::string_view source);

// Magic, version 1.0, dict and padding to a multiple of 64 bytes. `descr` is NumPy's type string.
std::string format_npy_header(std::string_view descr, const Shape& shape);

// NumPy's type string of a number type ("<f4"). Throws InvalidArgument for bf16 and strings.
std::string_view npy_descr(DType dtype);

}  // namespace tandem
