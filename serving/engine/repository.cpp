#include "serving/engine/repository.h"

#include <algorithm>
#include <utility>

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

ModelListing unavailable(std::string name, std::string reason, int64_t version = 0) {
  return {std::move(name), version, ModelState::kUnavailable, std::move(reason), nullptr};
}

// What the configuration says. Without one whatever waits is run together, as far as that takes no time to speak of.
BatchingOptions batching_of(const Model& model, int64_t queue_length) {
  constexpr int64_t kMostRows = 64;
  const ServingConfig config = model.config();
  const int64_t most = model.signature().batched ? config.max_batch_size.value_or(model.max_batch()) : 1;
  const bool is_configured = !config.lines.empty();
  BatchingOptions options = config.batching.value_or(BatchingOptions{});
  options.max_batch_size = std::max<int64_t>(1, config.batching ? most : is_configured ? 1 : std::min(kMostRows, most));
  if (!config.batching) options.max_batch_time = std::chrono::milliseconds(2);
  options.queue_length = queue_length;
  return options;
}

}  // namespace

std::string_view name(ModelState state) {
  switch (state) {
    case ModelState::kReady: return "READY";
    case ModelState::kLoading: return "LOADING";
    case ModelState::kUnloading: return "UNLOADING";
    case ModelState::kUnavailable: return "UNAVAILABLE";
  }
  return "UNKNOWN";
}

ModelControl parse_model_control(std::string_view text) {
  if (text == "none") return ModelControl::kNone;
  if (text == "poll") return ModelControl::kPoll;
  require(text == "explicit", "--model-control must be none, poll or explicit", text);
  return ModelControl::kExplicit;
}

ModelRepository::ModelRepository(fs::path root, RepositoryOptions options, Loader load, const ServingContext& context)
    : root_(std::move(root)), options_(std::move(options)), load_(std::move(load)), context_(context) {
  std::error_code error;
  check(fs::exists(root_, error), ErrorCode::kNotFound, "model repository does not exist", root_.string());
  require(fs::is_directory(root_, error), "model repository is not a folder", root_.string());
  const auto& wanted = options_.load_at_start;
  const bool all = options_.control != ModelControl::kExplicit || wanted.contains("*");
  for (const std::string& name : model_folders()) {
    if (!all && !wanted.contains(name)) {
      put(name, {unavailable(name, "")});
      continue;
    }
    loaded_[name] = fingerprint(name);
    put(name, load_folder(name));
  }
  for (const std::string& name : wanted)
    if (name != "*" && !models_.contains(name))
      put(name, {unavailable(name, "failed to load '" + name + "', no such folder in the model repository")});
}

std::vector<std::string> ModelRepository::model_folders() const {
  try {
    std::vector<std::string> names = folders_of(root_);
    std::erase_if(names, [](const std::string& name) { return name[0] == '.'; });
    return names;
  } catch (const fs::filesystem_error& failure) {
    fail(ErrorCode::kInvalidArgument, "model repository cannot be read", {root_.string(), failure.code().message()});
  }
}

// The configuration is of all versions; it need not be there.
ServingConfig ModelRepository::read_config(const fs::path& folder) const {
  const std::string file = "config.pbtxt";
  if (!fs::exists(folder / file)) return {};
  const std::string text = read_file_beneath(folder, file, options_.limits.config_bytes);
  try {
    return parse_model_config(text);
  } catch (const Error& error) {
    throw Error(error.code(), file + ", " + error.what());
  }
}

ModelRepository::Versions ModelRepository::load_all(const std::string& name, const fs::path& folder,
                                                    const std::optional<ServingConfig>& override) const {
  if (!valid_model_name(name)) return {unavailable(name, "not a model name: use letters, digits and _ - . + =, 128 at most")};
  std::vector<int64_t> versions;
  ServingConfig config;
  try {
    for (const std::string& version : folders_of(folder))
      if (const int64_t number = parse_version(version); number > 0) versions.push_back(number);
    config = override ? *override : read_config(folder);
  } catch (const fs::filesystem_error& failure) {
    return {unavailable(name, "folder cannot be read: " + failure.code().message())};
  } catch (const Error& error) {
    return {unavailable(name, "failed to load '" + name + "': " + without_root(error.what(), folder))};
  }
  if (versions.empty() && fs::exists(folder / "model.onnx"))
    return {unavailable(name, "model.onnx lies in the model's folder; it belongs into a version's: " + name + "/1/model.onnx")};
  if (versions.empty()) return {unavailable(name, "no version folder; a model lies at " + name + "/1/model.onnx")};
  const VersionPolicy policy = config.versions.value_or(options_.versions);
  const std::vector<int64_t> selected = select_versions(versions, policy);
  if (selected.empty()) return {unavailable(name, "no version is selected by the policy " + to_string(policy))};
  Versions listings;
  for (int64_t version : selected) listings.push_back(load_version(name, version, folder, config));
  return listings;
}

ModelListing ModelRepository::load_version(const std::string& name, int64_t version, const fs::path& folder,
                                           const ServingConfig& config) const {
  const std::string what = "failed to load '" + name + "', version " + std::to_string(version) + ": ";
  try {
    const std::string own = std::to_string(version);
    std::string file = config.default_model_filename;
    if (file.empty())
      file = !fs::exists(folder / own / "model.onnx") && fs::exists(folder / own / "model.tdm") ? "model.tdm" : "model.onnx";
    std::shared_ptr<Model> model = load_({name, version, open_beneath(folder, own + "/" + file), folder / own, config});
    const BatchingOptions batching = batching_of(*model, options_.limits.queue_length);
    return {name, version, ModelState::kReady, "", std::make_shared<ServedModel>(std::move(model), batching, context_)};
  } catch (const std::bad_alloc&) {
    return unavailable(name, what + "out of memory", version);
  } catch (const std::exception& failure) {
    return unavailable(name, what + without_root(failure.what(), folder), version);
  }
}

// A reason is shown to clients: where models lie is none of their business.
std::string ModelRepository::without_root(std::string text, const fs::path& folder) const {
  for (const std::string& prefix : {root_.string() + "/", folder.string() + "/"})
    for (size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at)) text.erase(at, prefix.size());
  return text;
}

void ModelRepository::put(const std::string& name, Versions versions) {
  Versions old;  // goes when nobody waits for the lock
  const std::lock_guard lock(mutex_);
  old = std::exchange(models_[name], std::move(versions));
}

void ModelRepository::mark(const std::string& name, ModelState state) {
  const std::lock_guard lock(mutex_);
  for (ModelListing& listing : models_[name])
    if (!listing.served) listing.state = state;
}

void ModelRepository::explain(const std::string& name, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  for (ModelListing& listing : models_[name]) listing.reason = reason;
}

std::shared_ptr<ServedModel> ModelRepository::find(std::string_view name, std::optional<int64_t> version) const {
  const auto unknown = [&] { return "Request for unknown model: '" + std::string(name) + "'"; };
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(name);
  check(found != models_.end(), ErrorCode::kNotFound, unknown() + " is not found");
  const ModelListing* best = nullptr;
  for (const ModelListing& listing : found->second)
    if (version ? listing.version == *version : (!best || listing.answers() || !best->answers())) best = &listing;
  check(best != nullptr, ErrorCode::kNotFound, unknown() + " version " + std::to_string(version.value_or(0)) + " is not found");
  check(best->served != nullptr, ErrorCode::kUnavailable, "model '" + std::string(name) + "' is not ready",
        best->reason.empty() ? "not loaded" : best->reason);
  return best->served;
}

std::vector<int64_t> ModelRepository::ready_versions(std::string_view name) const {
  std::vector<int64_t> versions;
  const std::lock_guard lock(mutex_);
  if (const auto found = models_.find(name); found != models_.end())
    for (const ModelListing& listing : found->second)
      if (listing.answers()) versions.push_back(listing.version);
  return versions;
}

bool ModelRepository::all_ready() const {
  return std::ranges::all_of(listings(), [](const ModelListing& listing) { return listing.answers() || !listing.is_wanted(); });
}

std::vector<ModelListing> ModelRepository::listings() const {
  std::vector<ModelListing> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, versions] : models_) all.insert(all.end(), versions.begin(), versions.end());
  return all;
}

void ModelRepository::load(const std::string& name, const LoadOverrides& overrides) {
  const std::lock_guard changing(changing_);
  const std::string failed = "failed to load '" + name + "', ";
  const bool is_uploaded = !overrides.files.empty();
  require(valid_model_name(name), failed + "not a model name");
  require(is_uploaded || fs::is_directory(fs::symlink_status(root_ / name)), failed + "no such folder in the model repository");
  std::optional<UploadedModel> uploaded;
  if (is_uploaded) uploaded.emplace(overrides.files);
  mark(name, ModelState::kLoading);
  Fingerprint found = fingerprint(name);
  Versions versions = load_all(name, uploaded ? uploaded->folder() : root_ / name, overrides.config);
  const auto broken = std::ranges::find_if(versions, [](const ModelListing& listing) { return !listing.served; });
  if (broken == versions.end()) {
    loaded_[name] = std::move(found);
    return put(name, std::move(versions));
  }
  const std::string reason = broken->reason.starts_with("failed to load") ? broken->reason : failed + broken->reason;
  mark(name, ModelState::kUnavailable);
  if (ready_versions(name).empty())
    put(name, std::move(versions));
  else
    explain(name, "serves what was loaded before: " + reason);
  require(false, reason);
}

void ModelRepository::unload(const std::string& name) {
  const std::lock_guard changing(changing_);
  Versions rest;
  {
    const std::lock_guard lock(mutex_);
    const auto found = models_.find(name);
    check(found != models_.end(), ErrorCode::kNotFound, "Request for unknown model: '" + name + "' is not found");
    for (const ModelListing& listing : found->second) rest.push_back(unavailable(name, std::string(kUnloaded), listing.version));
  }
  loaded_.erase(name);
  put(name, std::move(rest));
}

// Files of a model with their sizes and times.
ModelRepository::Fingerprint ModelRepository::fingerprint(const std::string& name) const {
  constexpr size_t kMostFiles = 10'000;
  Fingerprint files;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(root_ / name, error);
       !error && entry != fs::end(entry) && files.size() < kMostFiles; entry.increment(error)) {
    const auto changed = entry->last_write_time(error).time_since_epoch().count();
    const bool is_file = entry->symlink_status(error).type() == fs::file_type::regular;
    const auto size = is_file ? static_cast<int64_t>(entry->file_size(error)) : 0;
    files.emplace_back(entry->path().string(), std::pair(size, static_cast<int64_t>(changed)));
  }
  std::ranges::sort(files);
  return files;
}

void ModelRepository::poll() {
  const std::vector<std::string> present = model_folders();
  std::vector<std::string> gone, changed;
  {
    const std::lock_guard changing(changing_);
    for (const auto& [name, files] : loaded_)
      if (!std::ranges::binary_search(present, name)) gone.push_back(name);
    std::map<std::string, Fingerprint, std::less<>> seen;
    for (const std::string& name : present) {
      const Fingerprint& now = seen[name] = fingerprint(name);
      const auto before = seen_.find(name);
      const auto loaded = loaded_.find(name);
      const bool settled = before != seen_.end() && before->second == now;
      if (settled && (loaded == loaded_.end() || loaded->second != now)) changed.push_back(name);
    }
    seen_ = std::move(seen);
    for (const std::string& name : changed) loaded_[name] = seen_[name];  // tried once, until it changes again
  }
  for (const std::string& name : gone) {
    unload(name);
    const std::lock_guard lock(mutex_);
    models_.erase(name);
  }
  for (const std::string& name : changed) try {
      load(name);
    } catch (const Error&) {  // its listing says why; what was served is served on
    }
}

}  // namespace tandem
