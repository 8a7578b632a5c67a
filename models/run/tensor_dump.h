// Tensors that another runtime left in a folder, a file each: <name>.npy, or <name>.pb with a TensorProto. Characters of a name
// that a file's name cannot have are written as in URLs: "/encoder/Add" is "%2Fencoder%2FAdd.npy".
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "runtime/graph/tensor.h"

namespace tandem {

// Throws NotFound for a folder that is not there, InvalidArgument for one without a tensor and for a broken file.
std::map<std::string, Tensor, std::less<>> read_tensor_dump(const std::filesystem::path& folder);

}  // namespace tandem
