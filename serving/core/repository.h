// The models of a folder: <root>/<model>/<version>/model.onnx, or model.tdm where there is none (+ manifest.json), read once at the start.
//
// A version that fails to load does not stop the others: it is listed as UNAVAILABLE with the reason. Loading and unloading at
// run time will replace entries here; requests hold handles of their own, so nothing else will have to change.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/limits.h"
#include "runtime/io/file_descriptor.h"
#include "serving/core/model.h"
#include "serving/core/version_policy.h"

namespace tandem {

struct ModelListing {
  std::string name;
  int64_t version = 0;  // 0: the model has no version at all
  bool ready = false;
  std::string reason;            // why it is not ready
  std::shared_ptr<Model> model;  // null unless ready

  // Whether requests are answered: loaded, and not failed on a strict device since.
  bool answers() const { return ready && (!model || model->usable()); }
};

class ModelRepository {
 public:
  // Makes a Model of an open model file; `folder` is where data beside it may lie.
  using Loader = std::function<std::shared_ptr<Model>(const std::string& name, int64_t version, FileDescriptor file,
                                                      const std::filesystem::path& folder)>;

  // Scans and loads. Throws NotFound or InvalidArgument if `root` itself is no readable folder.
  ModelRepository(std::filesystem::path root, const VersionPolicy& policy, const Loader& load);

  // The version asked for, or the highest that answers. Throws NotFound ("Request for unknown model: ...") if there is none of
  // that name or number, Unavailable with the reason if it is there and not ready.
  std::shared_ptr<Model> find(std::string_view name, std::optional<int64_t> version = {}) const;
  // Ascending. Empty for an unknown name.
  std::vector<int64_t> ready_versions(std::string_view name) const;
  // Whether everything that should be served is.
  bool all_ready() const;
  // By name, then by version.
  const std::vector<ModelListing>& listings() const { return listings_; }

 private:
  void scan_model(const std::string& name, const VersionPolicy& policy, const Loader& load);
  ModelListing load_version(const std::string& name, int64_t version, const Loader& load) const;
  std::string without_root(std::string text) const;

  std::filesystem::path root_;
  std::vector<ModelListing> listings_;
  std::map<std::string, std::vector<size_t>, std::less<>> by_name_;  // indices of listings_, versions ascending
};

// The usual Loader: import, default passes, plan.
ModelRepository::Loader onnx_loader(const ModelOptions& options, const Limits& limits);

}  // namespace tandem
