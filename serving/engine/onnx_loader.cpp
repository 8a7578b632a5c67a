#include <algorithm>

#include "runtime/io/file.h"
#include "runtime/io/file_digest.h"
#include "runtime/model/open_model.h"
#include "serving/engine/package_check.h"
#include "serving/engine/repository.h"
#include "serving/engine/warm_up.h"
#include "serving/engine/weight_pool.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// Files beside the model may hold weights. Those of a package that hold none are left out.
std::vector<fs::path> files_beside(const fs::path& folder, const std::string& model) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.symlink_status().type() == fs::file_type::regular && name != model && name != "manifest.json") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

// Equal for models that are equal bit by bit, their weights included.
std::string content_of(const ModelRepository::Source& source, const std::string& digest, const std::vector<fs::path>& beside) {
  std::string digests = digest;
  for (const fs::path& file : beside) digests += " " + fs::relative(file, source.folder).string() + " " + sha256_file(file);
  return digests;
}

int64_t bytes_of(const ModelRepository::Source& source, const std::vector<fs::path>& beside) {
  int64_t bytes = size_of_file(source.file, source.name);
  for (const fs::path& file : beside) bytes += static_cast<int64_t>(fs::file_size(file));
  return bytes;
}

}  // namespace

ModelRepository::Loader onnx_loader(const ModelOptions& options, const Limits& limits) {
  const auto pool = std::make_shared<WeightPool>();
  const auto threads = std::make_shared<WarmUpThreads>();
  return [options, limits, pool, threads](ModelRepository::Source source) {
    ModelOptions own = options;
    const std::vector<fs::path> beside = files_beside(source.folder, source.file_name);
    const std::string digest = sha256_file(source.file);
    check_package_file(source.folder, source.file_name, digest, limits);
    own.packs = pool->packs(content_of(source, digest, beside));
    if (source.dry_run) {
      own.budget = nullptr;
      own.device.tuning = nullptr;
    }
    const bool is_first = own.packs.use_count() == 1;
    if (own.budget && is_first) own.budget->require_room("model '" + source.name + "'", bytes_of(source, beside));
    // Copied: a file that is cut short must not end the server.
    Graph graph = open_model(std::move(source.file), source.folder, {.limits = limits, .weights = Weights::kCopied, .packs = own.packs}).graph;
    pool->share(graph);
    own.config = std::move(source.config);
    if (auto declared = declared_batch_sizes(own.config)) own.batch_sizes = std::move(declared);
    auto model = std::make_shared<Model>(source.name, source.version, std::move(graph), own);
    if (source.dry_run) return model;
    check_golden_sample(source.folder, *model, limits);
    warm_up(*model, source.folder.parent_path(), limits);
    warm_up_batch_sizes(*model, *threads);
    return model;
  };
}

}  // namespace tandem
