// IDX files (Y. LeCun's format of MNIST): magic 00 00 type rank, big-endian u32 dimensions, then the elements; plain, gzip or xz.
#pragma once

#include <filesystem>
#include <string_view>

#include "runtime/graph/limits.h"
#include "runtime/graph/tensor.h"

namespace tandem {

// Element types u8 and i8, and i16, i32, f32, f64 turned to this machine's byte order. Throws InvalidArgument naming `source` and
// the byte offset (in the unpacked content) for a wrong magic, too large dimensions, missing or trailing bytes.
Tensor parse_idx(std::string_view bytes, std::string_view source, const Limits& limits = {});

Tensor read_idx(const std::filesystem::path& path, const Limits& limits = {});

}  // namespace tandem
