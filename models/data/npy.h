// NumPy's .npy and .npz files. Source: NEP 1 (format versions 1.0 to 3.0) and the zip format for .npz.
//
// Read: little-endian f2 (kept as f16), f4, f8, signed and unsigned integers, b1, and the text types U and S, which become string
// tensors. Fortran order, big-endian numbers, structured types and pickled objects are refused, each with the call that mends it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/graph/limits.h"
#include "runtime/graph/tensor.h"

namespace tandem {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// `source` names the file in errors, which are InvalidArgument and give the byte offset.
Tensor parse_npy(std::string_view bytes, std::string_view source, const Limits& limits = {});
// Format 1.0, C order. String tensors are written as U of the longest element. Throws InvalidArgument for bf16, which NumPy
// lacks.
std::string format_npy(const Tensor& tensor);

Tensor read_npy(const std::filesystem::path& path, const Limits& limits = {});
// The arrays in the archive's order, by their names without ".npy".
NamedTensors parse_npz(std::string_view bytes, std::string_view source, const Limits& limits = {});
NamedTensors read_npz(const std::filesystem::path& path, const Limits& limits = {});
void write_npy(const std::filesystem::path& path, const Tensor& tensor);
void write_npz(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace tandem
