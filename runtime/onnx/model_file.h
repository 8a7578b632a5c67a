// A model file as protobuf is to parse it: without the large weights, which are read straight to where they stay.
#pragma once

#include <map>
#include <string>

#include "runtime/io/file_descriptor.h"
#include "runtime/onnx/tensor_files.h"

namespace tandem {

// Of the initializers of the main graph, by their index: where in the file the raw data lies.
using RawRanges = std::map<int, FileRange>;

struct ModelFile {
  std::string message;  // a ModelProto
  RawRanges raw;        // what was left out of it
};

// Judges nothing: a file that is no well-formed model comes whole, for protobuf to tell. Throws InvalidArgument if it ends before `size` bytes.
ModelFile read_model_file(const FileDescriptor& file, int64_t size);

}  // namespace tandem
