// Small valid inputs of the fuzz targets, made when asked for: nothing to keep up to date by hand.
#pragma once

#include <string>
#include <vector>

namespace tandem::fuzz {

std::vector<std::string> onnx_seeds();
std::vector<std::string> tensor_seeds();
std::vector<std::string> npy_seeds();
std::vector<std::string> compiled_seeds();

// Puts the checksums of a compiled model right, and its version and instruction set, as far as there are bytes for them.
void sign_compiled(std::string& content);

}  // namespace tandem::fuzz
