#include "serving/engine/repository.h"

#include <algorithm>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/base/program_pages.h"
#include "runtime/io/file.h"
#include "runtime/model/checksum.h"
#include "serving/core/model_name.h"
#include "serving/engine/batch_invariance.h"
#include "serving/engine/eviction.h"
#include "serving/engine/package_check.h"
#include "serving/engine/target_fit.h"
#include "serving/engine/warm_up.h"

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

// Of a version's folder: the model and what may hold weights beside it.
int64_t bytes_of_files(const fs::path& folder) {
  int64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (entry.symlink_status().type() == fs::file_type::regular && entry.path().filename() != "manifest.json") bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

ModelListing unavailable(std::string name, std::string reason, int64_t version = 0) {
  return {std::move(name), version, ModelState::kUnavailable, std::move(reason), nullptr};
}

// What the configuration says. Without one whatever waits is run together, as far as that takes no time to speak of.
BatchingOptions batching_of(const Model& model, const RepositoryOptions& server) {
  constexpr int64_t kMostRows = 64;
  const ServingConfig config = model.config();
  const int64_t most = model.signature().batched ? config.max_batch_size.value_or(model.max_batch()) : 1;
  const bool is_configured = !config.lines.empty();
  BatchingOptions options = config.batching.value_or(BatchingOptions{});
  options.max_batch_size = std::max<int64_t>(1, config.batching ? most : is_configured ? 1 : std::min(kMostRows, most));
  if (!config.batching) options.max_batch_time = std::chrono::milliseconds(2);
  options.queue_length = server.limits.queue_length;
  const auto own = config.parameters.find("slo");
  if (own != config.parameters.end()) options.slo = parse_slo(own->second);
  else if (!config.batching) options.slo = server.slo;
  if (!options.slo) return options;
  // A target takes the place of sizes and delays; priorities and limits stay.
  options.max_batch_size = most > 0 ? most : 1;
  options.preferred_sizes.clear();
  options.max_delay = options.max_batch_time = {};
  return options;
}

// As it was when it was loaded, for lanes that were divided anew since.
void make_ready_again(Model& model, const fs::path& folder, const Limits& limits) {
  check_golden_sample(folder, model, limits);
  warm_up(model, folder.parent_path(), limits);
  WarmUpThreads threads;
  warm_up_batch_sizes(model, threads);
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
  if (options_.dry_run) return;
  const bool all = options_.control != ModelControl::kExplicit || wanted.contains("*");
  for (const std::string& name : model_folders()) {
    if (!all && !wanted.contains(name)) {
      put(name, {unavailable(name, "")});
      continue;
    }
    loaded_[name] = fingerprint_of(root_ / name);
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

std::optional<ModelListing> ModelRepository::for_each_version(
    const std::string& name, const fs::path& folder, const LoadOverrides& overrides,
    const std::function<void(int64_t version, const Package& package)>& each) const {
  if (!valid_model_name(name)) return unavailable(name, "not a model name: use letters, digits and _ - . + =, 128 at most");
  std::vector<int64_t> versions;
  ServingConfig config;
  try {
    for (const std::string& version : folders_of(folder))
      if (const int64_t number = parse_version(version); number > 0) versions.push_back(number);
    config = overrides.config ? *overrides.config : read_config(folder);
  } catch (const fs::filesystem_error& failure) {
    return unavailable(name, "folder cannot be read: " + failure.code().message());
  } catch (const Error& error) {
    return unavailable(name, "failed to load '" + name + "': " + without_root(error.what(), folder));
  }
  if (versions.empty() && fs::exists(folder / "model.onnx"))
    return unavailable(name, "model.onnx lies in the model's folder; it belongs into a version's: " + name + "/1/model.onnx");
  if (versions.empty()) return unavailable(name, "no version folder; a model lies at " + name + "/1/model.onnx");
  const VersionPolicy policy = config.versions.value_or(options_.versions);
  std::set<int64_t> selected;
  for (int64_t version : select_versions(versions, policy)) selected.insert(version);
  try {
    for (const auto& [label, version] : labels_of(name, config))
      if (std::ranges::find(versions, version) != versions.end()) selected.insert(version);
  } catch (const Error& error) {
    return unavailable(name, "failed to load '" + name + "': " + error.what());
  }
  if (selected.empty()) return unavailable(name, "no version is selected by the policy " + to_string(policy));
  for (int64_t version : selected) each(version, Package{name, folder, config, overrides.dry_run});
  return std::nullopt;
}

ModelRepository::Versions ModelRepository::load_all(const std::string& name, const fs::path& folder, const LoadOverrides& overrides) {
  Versions listings;
  auto none = for_each_version(name, folder, overrides, [&](int64_t version, const Package& package) {
    listings.push_back(load_version(version, package));
  });
  if (none) return {std::move(*none)};
  return listings;
}

std::vector<MemoryForecast> ModelRepository::forecast(const std::string& name, const LoadOverrides& overrides) {
  require(valid_model_name(name), "not a model name");
  std::optional<UploadedModel> uploaded;
  if (!overrides.files.empty()) uploaded.emplace(overrides.files);
  const fs::path folder = uploaded ? uploaded->folder() : root_ / name;
  const LoadOverrides asked{.config = overrides.config, .dry_run = true};
  std::vector<MemoryForecast> forecasts;
  const auto none = for_each_version(name, folder, asked, [&](int64_t version, const Package& package) {
    MemoryForecast& forecast = forecasts.emplace_back(MemoryForecast{.name = name, .version = version});
    try {
      const std::shared_ptr<Model> model = load_(open(version, package));
      const ModelMemory memory = model->memory();
      forecast.need = memory.need;
      forecast.files = bytes_of_files(folder / std::to_string(version));
      forecast.additional = options_.dry_run  ? beside_forecasts(memory)
                            : options_.budget ? options_.budget->additional(memory.shared, memory.own)
                                              : memory.need.total();
    } catch (const std::exception& failure) {
      forecast.problem = without_root(failure.what(), folder);
    }
  });
  if (none) forecasts.push_back({.name = name, .problem = none->reason});
  return forecasts;
}

// Models that are looked at one after the other are not there at once: what they would share is known by its content.
int64_t ModelRepository::beside_forecasts(const ModelMemory& memory) {
  int64_t bytes = memory.own;
  const std::lock_guard lock(mutex_);
  for (const MemoryPart& part : memory.shared) {
    const std::span content(static_cast<const std::byte*>(part.id), static_cast<size_t>(part.bytes));
    if (forecast_.emplace(checksum(content), part.bytes).second) bytes += part.bytes;
  }
  return bytes;
}

// The file of a version, in the model's folder.
fs::path ModelRepository::file_of(int64_t version, const Package& package) {
  const fs::path own = std::to_string(version);
  if (!package.config.default_model_filename.empty()) return own / package.config.default_model_filename;
  const auto is_there = [&](const char* name) { return fs::exists(package.folder / own / name); };
  return own / (!is_there("model.onnx") && is_there("model.tdm") ? "model.tdm" : "model.onnx");
}

ModelRepository::Source ModelRepository::open(int64_t version, const Package& package) const {
  const fs::path own = std::to_string(version), file = file_of(version, package);
  return {package.name,         version,        open_beneath(package.folder, file.string()), file.lexically_relative(own).string(),
          package.folder / own, package.config, package.dry_run};
}

// What does not fit may take the place of others, once.
std::shared_ptr<Model> ModelRepository::make_model(int64_t version, const Package& package) {
  try {
    return load_(open(version, package));
  } catch (const DoesNotFit& error) {
    if (options_.control != ModelControl::kExplicit || !make_room(package.name, error)) throw;
  }
  return load_(open(version, package));
}

ModelListing ModelRepository::load_version(int64_t version, const Package& package) {
  const std::string& name = package.name;
  const std::string what = "failed to load '" + name + "', version " + std::to_string(version) + ": ";
  try {
    std::shared_ptr<Model> model = make_model(version, package);
    BatchingOptions batching = batching_of(*model, options_);
    TargetFit fit;
    if (batching.slo) fit = fit_to_target(*model, batching, options_.profiles, package.folder / file_of(version, package));
    if (fit.divided) make_ready_again(*model, package.folder / std::to_string(version), options_.limits);
    std::string alone = keep_bits(*model, options_.batch_invariant, batching);
    auto served = std::make_shared<ServedModel>(std::move(model), batching, context_, fit.cost);
    return_program_pages();  // of parser, passes and packing
    return {name, version, ModelState::kReady, std::move(alone), std::move(served)};
  } catch (const std::bad_alloc&) {
    return unavailable(name, what + "out of memory", version);
  } catch (const std::exception& failure) {
    return unavailable(name, what + without_root(failure.what(), package.folder), version);
  }
}

// Evicts idle models for one that does not fit. False if that would not do.
bool ModelRepository::make_room(const std::string& name, const DoesNotFit& newcomer) {
  std::vector<ResidentModel> residents{{.name = name, .shared = newcomer.shared, .is_kept = true}};
  std::vector<Versions> evicted;  // go when nobody waits for the lock
  const std::lock_guard lock(mutex_);
  const Clock::TimePoint now = context_.clock.now();
  for (const auto& [other, versions] : models_) {
    ResidentModel resident{.name = other, .is_kept = other == name};
    const auto kept = kept_.find(other);
    if (kept != kept_.end()) resident.is_kept = resident.is_kept || kept->second.is_pinned || kept->second.until > now;
    for (const ModelListing& listing : versions) {
      if (!listing.served) continue;
      const ModelMemory memory = listing.served->model().memory();
      resident.own += memory.own;
      resident.shared.insert(resident.shared.end(), memory.shared.begin(), memory.shared.end());
      resident.last_used = std::max(resident.last_used, listing.served->last_used());
      resident.is_kept = resident.is_kept || listing.served.use_count() > 1;  // requests hold it
    }
    if (resident.own > 0 || !resident.shared.empty()) residents.push_back(std::move(resident));
  }
  const std::vector<std::string> names = models_to_evict(std::move(residents), newcomer.missing);
  for (const std::string& victim : names) {
    const std::string reason = std::string(kEvicted) + " to make room for '" + name + "': load it again";
    Versions rest;
    for (const ModelListing& listing : models_[victim]) rest.push_back(unavailable(victim, reason, listing.version));
    evicted.push_back(std::exchange(models_[victim], std::move(rest)));
    kept_.erase(victim);
  }
  return !names.empty();
}

// A reason is shown to clients: where models lie is none of their business.
std::string ModelRepository::without_root(std::string text, const fs::path& folder) const {
  for (const std::string& prefix : {root_.string() + "/", folder.string() + "/"})
    for (size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at)) text.erase(at, prefix.size());
  return text;
}

// Those of the server's flags go before those of the model.
VersionLabels ModelRepository::labels_of(const std::string& name, const ServingConfig& config) const {
  VersionLabels labels;
  if (const auto own = options_.labels.find(name); own != options_.labels.end()) labels = own->second;
  if (const auto declared = config.parameters.find("labels"); declared != config.parameters.end())
    labels.merge(parse_version_labels(declared->second));
  return labels;
}

std::optional<int64_t> ModelRepository::version_named(std::string_view name, const std::string& text) const {
  if (text.empty()) return std::nullopt;
  if (const int64_t version = parse_version(text); version > 0) return version;
  std::string shown = text.substr(0, 64);
  for (char& c : shown)
    if (c < ' ' || c > '~') c = '?';
  std::string known;
  const std::lock_guard lock(mutex_);
  if (const auto labels = labels_.find(name); labels != labels_.end()) {
    if (const auto found = labels->second.find(text); found != labels->second.end()) return found->second;
    for (const auto& [label, version] : labels->second) known += (known.empty() ? ", or one of its labels: " : ", ") + label;
  }
  fail(ErrorCode::kInvalidArgument, "failed to get model version from specified version string '" + shown +
                                        "', version should be an integral value > 0" + known);
}

void ModelRepository::put(const std::string& name, Versions versions) {
  Versions old;  // goes when nobody waits for the lock
  VersionLabels labels;
  for (const ModelListing& listing : versions)
    if (listing.served) labels = labels_of(name, listing.model()->config());
  const std::lock_guard lock(mutex_);
  labels_[name] = std::move(labels);
  old = std::exchange(models_[name], std::move(versions));
}

void ModelRepository::mark(const std::string& name, ModelState state) {
  const std::lock_guard lock(mutex_);
  for (ModelListing& listing : models_[name])
    if (!listing.served) listing.state = state;
}

void ModelRepository::keep(const std::string& name, const LoadOverrides& overrides) {
  const std::lock_guard lock(mutex_);
  Keep& keep = kept_[name];
  keep.is_pinned = overrides.pin.value_or(keep.is_pinned);
  keep.until = std::max(keep.until, context_.clock.now() + overrides.lease);
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
  keep(name, overrides);
  FolderFingerprint found = fingerprint_of(root_ / name);
  Versions versions = load_all(name, uploaded ? uploaded->folder() : root_ / name, overrides);
  const auto broken = std::ranges::find_if(versions, [](const ModelListing& listing) { return !listing.served; });
  if (broken == versions.end()) {
    loaded_[name] = std::move(found);
    put(name, std::move(versions));
    return;
  }
  const std::string reason = broken->reason.starts_with("failed to load") ? broken->reason : failed + broken->reason;
  mark(name, ModelState::kUnavailable);
  if (ready_versions(name).empty())
    put(name, std::move(versions));
  else
    explain(name, "serves what was loaded before: " + reason);
  require(false, reason);
}

void ModelRepository::unload(const std::string& name, std::chrono::milliseconds patience) {
  const auto latest = std::chrono::steady_clock::now() + patience;
  for (const std::shared_future<void>& gone : take_away(name)) gone.wait_until(latest);
}

// Of each version that was served, when it has gone.
std::vector<std::shared_future<void>> ModelRepository::take_away(const std::string& name) {
  const std::lock_guard changing(changing_);
  Versions rest;
  std::vector<std::shared_future<void>> gone;
  {
    const std::lock_guard lock(mutex_);
    const auto found = models_.find(name);
    check(found != models_.end(), ErrorCode::kNotFound, "Request for unknown model: '" + name + "' is not found");
    for (const ModelListing& listing : found->second) {
      rest.push_back(unavailable(name, std::string(kUnloaded), listing.version));
      if (listing.served) gone.push_back(listing.served->gone());
    }
  }
  loaded_.erase(name);
  put(name, std::move(rest));
  const std::lock_guard lock(mutex_);
  kept_.erase(name);
  return gone;
}

void ModelRepository::poll() {
  const std::vector<std::string> present = model_folders();
  std::vector<std::string> gone, changed;
  {
    const std::lock_guard changing(changing_);
    for (const auto& [name, files] : loaded_)
      if (!std::ranges::binary_search(present, name)) gone.push_back(name);
    std::map<std::string, FolderFingerprint, std::less<>> seen;
    for (const std::string& name : present) {
      const FolderFingerprint& now = seen[name] = fingerprint_of(root_ / name);
      const auto before = seen_.find(name);
      const auto loaded = loaded_.find(name);
      const bool settled = before != seen_.end() && before->second == now;
      if (settled && (loaded == loaded_.end() || loaded->second != now)) changed.push_back(name);
    }
    seen_ = std::move(seen);
    for (const std::string& name : changed) loaded_[name] = seen_[name];  // tried once, until it changes again
  }
  for (const std::string& name : gone) {
    take_away(name);
    const std::lock_guard lock(mutex_);
    models_.erase(name);
  }
  for (const std::string& name : changed) try {
      load(name);
    } catch (const Error&) {  // its listing says why; what was served is served on
    }
}

}  // namespace tandem
