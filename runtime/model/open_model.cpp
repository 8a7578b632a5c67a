#include "runtime/model/open_model.h"

#include "kernels/base/block.h"
#include "runtime/io/file.h"
#include "runtime/model/compiled_model.h"

namespace tandem {
namespace {

OpenedModel open_compiled(FileDescriptor file, const std::filesystem::path& path, const OpenOptions& options) {
  require(options.passes.disabled.empty(), "a compiled model has its passes behind it: none can be left out", path.filename().string());
  const auto packs = options.packs ? options.packs : std::make_shared<PackedConstants>();
  CompiledModel model = load_compiled(std::move(file), path, *packs, options.limits, options.weights);
  return {std::move(model.graph), {}, packs, std::move(model.panels)};
}

OpenedModel rewritten(Graph graph, const OpenOptions& options) {
  OpenedModel model{std::move(graph), {}, options.packs ? options.packs : std::make_shared<PackedConstants>(), nullptr};
  if (options.optimize) model.reports = run_passes(model.graph, options.passes);
  return_freed_memory();  // the parsed file, weights that the passes replaced
  return model;
}

}  // namespace

OpenedModel open_model(const std::filesystem::path& path, const OpenOptions& options) {
  FileDescriptor file = open_regular(path);
  if (is_compiled(file)) return open_compiled(std::move(file), path, options);
  return rewritten(load_onnx(path, options.limits, options.given, options.weights), options);
}

OpenedModel open_model(FileDescriptor file, const std::filesystem::path& folder, const OpenOptions& options) {
  if (is_compiled(file)) return open_compiled(std::move(file), "model.tdm", options);
  return rewritten(load_onnx(std::move(file), folder, options.limits, options.given, options.weights), options);
}

}  // namespace tandem
