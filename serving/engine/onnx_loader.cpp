#include "runtime/model/open_model.h"
#include "serving/engine/repository.h"

namespace tandem {

ModelRepository::Loader onnx_loader(const ModelOptions& options, const Limits& limits) {
  return [options, limits](ModelRepository::Source source) {
    // Copied: a file that is cut short must not end the server.
    Graph graph = open_model(std::move(source.file), source.folder, {.limits = limits, .weights = Weights::kCopied}).graph;
    ModelOptions own = options;
    own.config = std::move(source.config);
    if (auto declared = declared_batch_sizes(own.config)) own.batch_sizes = std::move(declared);
    return std::make_shared<Model>(source.name, source.version, std::move(graph), own);
  };
}

}  // namespace tandem
