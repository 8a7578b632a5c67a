// Opens an ONNX model: from bytes, from a file that is open, from a path.
#include <algorithm>
#include <climits>

#include "onnx.pb.h"
#include "runtime/io/file.h"
#include "runtime/onnx/import_model.h"
#include "runtime/onnx/onnx.h"

namespace tandem {
namespace {

using tandem_onnx_proto::ModelProto;

void parse_model(std::string_view bytes, ModelProto& model) {
  require(model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())), "not an ONNX model: its protobuf is broken (bytes)",
          bytes.size());
}

void require_size(int64_t bytes, const Limits& limits) {
  const int64_t limit = std::min<int64_t>(limits.model_bytes, INT_MAX);
  require(bytes <= limit, "the model exceeds the limit (bytes, limit)", bytes, limit);
}

}  // namespace

Graph parse_onnx(std::string_view bytes, const std::filesystem::path& folder, const Limits& limits, const NameSet& given) {
  require_size(static_cast<int64_t>(bytes.size()), limits);
  ModelProto model;
  parse_model(bytes, model);
  TensorFiles files(folder);
  return import_model(model, files, {}, limits, given);
}

Graph load_onnx(FileDescriptor file, const std::filesystem::path& folder, const Limits& limits, const NameSet& given, Weights weights) {
  const int64_t size = size_of_file(file, "the model");
  require_size(size, limits);
  ModelProto model;
  ModelFile content = read_model_file(file, size);
  parse_model(content.message, model);
  std::string().swap(content.message);  // an assignment would keep its memory
  TensorFiles files(folder, weights, std::move(file));
  return import_model(model, files, content.raw, limits, given);
}

Graph load_onnx(const std::filesystem::path& path, const Limits& limits, const NameSet& given, Weights weights) {
  FileDescriptor file = open_regular(path);
  try {
    const std::filesystem::path folder = path.parent_path();
    return load_onnx(std::move(file), folder.empty() ? "." : folder, limits, given, weights);
  } catch (const Error& error) {
    throw Error(error.code(), path.filename().string() + ": " + error.what());
  }
}

}  // namespace tandem
