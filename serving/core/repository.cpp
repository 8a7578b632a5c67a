#include "serving/core/repository.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "runtime/io/file.h"
#include "serving/core/model_name.h"

namespace tandem {
namespace fs = std::filesystem;
namespace {

// Names of the sub-folders, sorted; a folder behind a symbolic link does not count.
std::vector<std::string> folders_of(const fs::path& path) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(path))
    if (entry.symlink_status().type() == fs::file_type::directory) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

ModelRepository::ModelRepository(fs::path root, const VersionPolicy& policy, const Loader& load)
    : root_(std::move(root)) {
  std::error_code error;
  check(fs::exists(root_, error), ErrorCode::kNotFound, "model repository does not exist", root_.string());
  require(fs::is_directory(root_, error), "model repository is not a folder", root_.string());
  try {
    for (const std::string& name : folders_of(root_))
      if (name[0] != '.') scan_model(name, policy, load);
  } catch (const fs::filesystem_error& failure) {
    fail(ErrorCode::kInvalidArgument, "model repository cannot be read", {root_.string(), failure.code().message()});
  }
  for (size_t i = 0; i < listings_.size(); ++i) by_name_[listings_[i].name].push_back(i);
}

void ModelRepository::scan_model(const std::string& name, const VersionPolicy& policy, const Loader& load) {
  const auto refuse = [&](std::string reason) { listings_.push_back({name, 0, false, std::move(reason), nullptr}); };
  if (!valid_model_name(name)) return refuse("not a model name: use letters, digits and _ - . + =, 128 at most");
  std::vector<int64_t> versions;
  try {
    for (const std::string& folder : folders_of(root_ / name))
      if (const int64_t version = parse_version(folder); version > 0) versions.push_back(version);
  } catch (const fs::filesystem_error& failure) {
    return refuse("folder cannot be read: " + failure.code().message());
  }
  if (versions.empty() && fs::exists(root_ / name / "model.onnx"))
    return refuse("model.onnx lies in the model's folder; it belongs into a version's: " + name + "/1/model.onnx");
  if (versions.empty()) return refuse("no version folder; a model lies at " + name + "/1/model.onnx");
  const std::vector<int64_t> selected = select_versions(versions, policy);
  if (selected.empty()) return refuse("no version is selected by the policy " + to_string(policy));
  for (int64_t version : selected) listings_.push_back(load_version(name, version, load));
}

ModelListing ModelRepository::load_version(const std::string& name, int64_t version, const Loader& load) const {
  ModelListing listing{name, version, false, "", nullptr};
  try {
    const std::string folder = name + "/" + std::to_string(version);
    const char* file = !fs::exists(root_ / folder / "model.onnx") && fs::exists(root_ / folder / "model.tdm") ? "/model.tdm" : "/model.onnx";
    listing.model = load(name, version, open_beneath(root_, folder + file), root_ / folder);
    listing.ready = true;
  } catch (const std::bad_alloc&) {
    listing.reason = "failed to load '" + name + "', version " + std::to_string(version) + ": out of memory";
  } catch (const std::exception& failure) {
    listing.reason = "failed to load '" + name + "', version " + std::to_string(version) + ": " + without_root(failure.what());
  }
  return listing;
}

// A reason is shown to clients: where the repository lies is none of their business.
std::string ModelRepository::without_root(std::string text) const {
  const std::string prefix = root_.string() + "/";
  for (size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at)) text.erase(at, prefix.size());
  return text;
}

std::shared_ptr<Model> ModelRepository::find(std::string_view name, std::optional<int64_t> version) const {
  const std::string unknown = "Request for unknown model: '" + std::string(name) + "'";
  const auto found = by_name_.find(name);
  check(found != by_name_.end(), ErrorCode::kNotFound, unknown + " is not found");
  const ModelListing* best = nullptr;
  for (size_t index : found->second) {
    const ModelListing& listing = listings_[index];
    if (version ? listing.version == *version : (!best || listing.answers() || !best->answers())) best = &listing;
  }
  check(best != nullptr, ErrorCode::kNotFound, unknown + " version " + std::to_string(version.value_or(0)) + " is not found");
  check(best->ready, ErrorCode::kUnavailable, "model '" + std::string(name) + "' is not ready", best->reason);
  return best->model;
}

std::vector<int64_t> ModelRepository::ready_versions(std::string_view name) const {
  std::vector<int64_t> versions;
  if (const auto found = by_name_.find(name); found != by_name_.end())
    for (size_t index : found->second)
      if (listings_[index].answers()) versions.push_back(listings_[index].version);
  return versions;
}

bool ModelRepository::all_ready() const {
  return std::ranges::all_of(listings_, [](const ModelListing& listing) { return listing.answers(); });
}

}  // namespace tandem
