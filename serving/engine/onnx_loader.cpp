#include "kernels/base/error.h"
#include "runtime/io/file.h"
#include "runtime/model/open_model.h"
#include "serving/engine/repository.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// The configuration is of all versions; it need not be there.
ServingConfig config_in(const fs::path& model_folder, const Limits& limits) {
  const std::string file = "config.pbtxt";
  if (!fs::exists(model_folder / file)) return {};
  const std::string text = read_file_beneath(model_folder, file, limits.config_bytes);
  try {
    return parse_model_config(text);
  } catch (const Error& error) {
    throw Error(error.code(), file + ", " + error.what());
  }
}

}  // namespace

ModelRepository::Loader onnx_loader(const ModelOptions& options, const Limits& limits) {
  return [options, limits](const std::string& name, int64_t version, FileDescriptor file, const std::filesystem::path& folder) {
    // Copied: a file that is cut short must not end the server.
    Graph graph = open_model(std::move(file), folder, {.limits = limits, .weights = Weights::kCopied}).graph;
    ModelOptions own = options;
    own.config = config_in(folder.parent_path(), limits);
    if (auto declared = declared_batch_sizes(own.config)) own.batch_sizes = std::move(declared);
    return std::make_shared<Model>(name, version, std::move(graph), own);
  };
}

}  // namespace tandem
