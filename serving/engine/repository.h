// The models of a folder: <root>/<model>/<version>/model.onnx, or model.tdm where there is none (+ config.pbtxt, manifest.json).
//
// A version that fails to load does not stop the others: it is listed as UNAVAILABLE with the reason. Models come and go while
// the server runs: a new version is loaded beside the old one and takes its place when it is ready; one that cannot be loaded
// leaves the old one where it is. Requests hold handles of their own, so what was begun is finished.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/limits.h"
#include "runtime/io/file_descriptor.h"
#include "serving/core/memory_budget.h"
#include "serving/core/model.h"
#include "serving/core/version_labels.h"
#include "serving/core/version_policy.h"
#include "serving/engine/folder_fingerprint.h"
#include "serving/engine/served_model.h"
#include "serving/engine/uploaded_model.h"

namespace tandem {

enum class ModelState : uint8_t { kReady, kLoading, kUnloading, kUnavailable };
std::string_view name(ModelState state);  // READY and so on, as the protocol says

// The reason of a model that was taken away because somebody asked for it.
inline constexpr std::string_view kUnloaded = "unloaded";
// The reason of one that went to make room begins so.
inline constexpr std::string_view kEvicted = "evicted";

struct ModelListing {
  std::string name;
  int64_t version = 0;  // 0: no version of it was looked at
  ModelState state = ModelState::kUnavailable;
  std::string reason;                   // why it is not ready, or not what lies in the folder, or does not run as others do
  std::shared_ptr<ServedModel> served;  // null unless ready

  // Whether requests are answered: loaded, and not failed on a strict device since.
  bool answers() const { return served && served->model().usable(); }
  // Whether the server is not ready without it: somebody wants it, and took nothing back.
  bool is_wanted() const { return served || !(reason.empty() || reason == kUnloaded || reason.starts_with(kEvicted)); }
  const Model* model() const { return served ? &served->model() : nullptr; }
};

// Who decides what is served.
enum class ModelControl : uint8_t {
  kNone,      // what is there at the start
  kPoll,      // what is there, looked at again and again
  kExplicit,  // what was named at the start, and what clients load and unload
};

// "none", "poll" or "explicit". Throws InvalidArgument.
ModelControl parse_model_control(std::string_view text);

struct RepositoryOptions {
  VersionPolicy versions;
  std::map<std::string, VersionLabels, std::less<>> labels = {};  // by model; they go before the parameter "labels" of config.pbtxt
  ModelControl control = ModelControl::kNone;
  std::set<std::string, std::less<>> load_at_start = {};  // with kExplicit; "*" is all of them
  std::optional<Slo> slo = {};                           // of models that name none themselves (parameter "slo" of config.pbtxt)
  bool batch_invariant = false;                          // of models that do not say (parameter "batch_invariant")
  std::filesystem::path profiles = {};                   // where measured costs are kept; empty: nowhere
  Limits limits = {};                                     // queue_length: requests that wait for one model
  MemoryBudget* budget = nullptr;                         // of all models; outlives the repository
  bool dry_run = false;                                   // nothing is loaded, but looked at one after the other
};

// How long a model that was just loaded is not evicted, so that whoever loaded it can use it.
inline constexpr std::chrono::milliseconds kDefaultLease{5'000};
// How long the answer to an unload waits for requests that the model is still running.
inline constexpr std::chrono::milliseconds kUnloadPatience{5'000};

// What a request to load says in place of the model's folder.
struct LoadOverrides {
  std::optional<ServingConfig> config = {};  // of config.pbtxt
  UploadedFiles files = {};             // of the whole folder, if there are any
  std::optional<bool> pin = {};         // true: never evicted; false: as others; nothing: as before
  std::chrono::milliseconds lease = kDefaultLease;
  bool dry_run = false;                 // nothing is loaded; the answer says what it would take
};

// What loading a version would take.
struct MemoryForecast {
  std::string name;
  int64_t version = 0;
  MemoryNeed need = {};
  int64_t additional = 0;  // bytes beside those that are held already, by models of equal weights too; before a start, of models that were forecast before
  int64_t files = 0;       // bytes that are read when it is loaded, and for which there must be room then
  std::string problem = {};  // why it cannot be loaded; then the rest is 0
};

// What keeps a model version from being served, or one of its folder's.
struct ModelCheck {
  std::string name;
  int64_t version = 0;                      // 0: none was looked at
  std::vector<ConfigProblem> problems = {};  // of config.pbtxt
  std::string failure = {};                 // of all else; "": there is none
  std::vector<std::string> notes = {};      // what is passed over
  bool is_good() const { return problems.empty() && failure.empty(); }
};

class ModelRepository {
 public:
  // What a Model is made of.
  struct Source {
    std::string name;
    int64_t version = 0;
    FileDescriptor file;           // open
    std::string file_name;         // in its folder
    std::filesystem::path folder;  // where data beside it may lie
    ServingConfig config;          // as config.pbtxt has it, or a request to load
    bool dry_run = false;          // to be looked at, not run
  };
  using Loader = std::function<std::shared_ptr<Model>(Source source)>;

  // Scans and loads. Throws NotFound or InvalidArgument if `root` itself is no readable folder. `context` outlives the
  // repository.
  ModelRepository(std::filesystem::path root, RepositoryOptions options, Loader load, const ServingContext& context);

  ModelControl control() const { return options_.control; }
  // Bytes; INT64_MAX without one.
  int64_t memory_limit() const { return options_.budget ? options_.budget->limit() : INT64_MAX; }
  // Names of the folders that may hold models, sorted. Throws InvalidArgument if the root cannot be read.
  std::vector<std::string> model_folders() const;

  // All of these: any thread.

  // The version asked for, or the highest that answers. Throws NotFound ("Request for unknown model: ...") if there is none of
  // that name or number, Unavailable with the reason if it is there and not ready.
  std::shared_ptr<ServedModel> find(std::string_view name, std::optional<int64_t> version = {}) const;
  // The version meant by a text: "" is the server's choice, a number is itself, anything else a label of the model. Throws InvalidArgument.
  std::optional<int64_t> version_named(std::string_view name, const std::string& text) const;
  // Ascending. Empty for an unknown name.
  std::vector<int64_t> ready_versions(std::string_view name) const;
  // Whether everything that should be served is.
  bool all_ready() const;
  // By name, then by version.
  std::vector<ModelListing> listings() const;

  // What loading the versions that the policy selects would take, and whether it could. Throws InvalidArgument for a name that is none.
  std::vector<MemoryForecast> forecast(const std::string& name, const LoadOverrides& overrides = {});
  // Tries the versions that the policy selects, one after the other, without serving them: each is held against its configuration, loaded, and
  // runs its golden sample and warm-ups. Throws nothing.
  std::vector<ModelCheck> examine(const std::string& name);
  // Loads the versions of a model that the policy selects, anew if they are served already, and returns when they are. What does not fit
  // the budget takes the place of models that are idle, least recently used first, with ModelControl::kExplicit. Throws
  // InvalidArgument ("failed to load '<name>', ...") if one of them cannot be; what was served before is then served on.
  void load(const std::string& name, const LoadOverrides& overrides = {});
  // Takes the model away from new requests; it goes, with its memory, when the last answer is out, which is waited for as long as
  // `patience` lasts. Throws NotFound for one that was never there.
  void unload(const std::string& name, std::chrono::milliseconds patience = kUnloadPatience);
  // Looks at the folder. A model that is new, gone or other than when it was loaded is loaded or unloaded if it is still the same
  // as at the last look: one that is being copied waits.
  void poll();

 private:
  using Versions = std::vector<ModelListing>;
  // Until when a model is not evicted.
  struct Keep {
    bool is_pinned = false;
    Clock::TimePoint until{};
  };
  // What versions are made of.
  struct Package {
    const std::string& name;
    const std::filesystem::path& folder;
    const ServingConfig& config;
    bool dry_run = false;
  };

  // Calls each(version, package) for those that the policy selects. The listing that says why there is none, else nothing.
  std::optional<ModelListing> for_each_version(const std::string& name, const std::filesystem::path& folder, const LoadOverrides& overrides,
                                               const std::function<void(int64_t version, const Package& package)>& each) const;
  std::vector<std::shared_future<void>> take_away(const std::string& name);
  Versions load_all(const std::string& name, const std::filesystem::path& folder, const LoadOverrides& overrides);
  Versions load_folder(const std::string& name) { return load_all(name, root_ / name, {}); }
  VersionLabels labels_of(const std::string& name, const ServingConfig& config) const;
  ServingConfig read_config(const std::filesystem::path& folder) const;
  ModelCheck examine_version(int64_t version, const Package& package, std::vector<ConfigProblem> problems);
  ModelListing load_version(int64_t version, const Package& package);
  static std::filesystem::path file_of(int64_t version, const Package& package);
  Source open(int64_t version, const Package& package) const;
  std::shared_ptr<Model> make_model(int64_t version, const Package& package);
  bool make_room(const std::string& name, const DoesNotFit& newcomer);
  int64_t beside_forecasts(const ModelMemory& memory);
  std::string without_root(std::string text, const std::filesystem::path& root) const;
  void put(const std::string& name, Versions versions);
  void mark(const std::string& name, ModelState state);
  void keep(const std::string& name, const LoadOverrides& overrides);
  void explain(const std::string& name, const std::string& reason);

  const std::filesystem::path root_;
  const RepositoryOptions options_;
  const Loader load_;
  const ServingContext context_;

  std::mutex changing_;                                            // held while one model is loaded or unloaded
  std::map<std::string, FolderFingerprint, std::less<>> loaded_, seen_;  // as they were loaded, and at the last look
  mutable std::mutex mutex_;                                       // of what follows
  std::map<std::string, Versions, std::less<>> models_;
  std::map<std::string, Keep, std::less<>> kept_;
  std::map<std::string, VersionLabels, std::less<>> labels_;  // of what is loaded
  std::set<std::pair<uint64_t, int64_t>> forecast_;           // checksums and bytes of what models share that were forecast and not loaded
};

// The usual Loader: import, default passes, plan.
ModelRepository::Loader onnx_loader(const ModelOptions& options, const Limits& limits);

}  // namespace tandem
