#include "runtime/onnx/onnx.h"
#include "runtime/passes/pass_manager.h"
#include "serving/core/repository.h"

namespace tandem {

ModelRepository::Loader onnx_loader(const ModelOptions& options, const Limits& limits) {
  return [options, limits](const std::string& name, int64_t version, std::string_view onnx, const std::filesystem::path& folder) {
    Graph graph = parse_onnx(onnx, folder, limits);
    run_passes(graph);
    return std::make_shared<Model>(name, version, std::move(graph), options);
  };
}

}  // namespace tandem
