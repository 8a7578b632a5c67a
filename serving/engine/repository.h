// The models of a folder: <root>/<model>/<version>/model.onnx, or model.tdm where there is none (+ config.pbtxt, manifest.json).
//
// A version that fails to load does not stop the others: it is listed as UNAVAILABLE with the reason. Models come and go while
// the server runs: a new version is loaded beside the old one and takes its place when it is ready; one that cannot be loaded
// leaves the old one where it is. Requests hold handles of their own, so what was begun is finished.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
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
#include "serving/core/model.h"
#include "serving/core/version_policy.h"
#include "serving/engine/served_model.h"
#include "serving/engine/uploaded_model.h"

namespace tandem {

enum class ModelState : uint8_t { kReady, kLoading, kUnloading, kUnavailable };
std::string_view name(ModelState state);  // READY and so on, as the protocol says

// The reason of a model that was taken away because somebody asked for it.
inline constexpr std::string_view kUnloaded = "unloaded";

struct ModelListing {
  std::string name;
  int64_t version = 0;  // 0: no version of it was looked at
  ModelState state = ModelState::kUnavailable;
  std::string reason;                   // why it is not ready, or not what lies in the folder
  std::shared_ptr<ServedModel> served;  // null unless ready

  // Whether requests are answered: loaded, and not failed on a strict device since.
  bool answers() const { return served && served->model().usable(); }
  // Whether the server is not ready without it: somebody wants it, and took nothing back.
  bool is_wanted() const { return served || !(reason.empty() || reason == kUnloaded); }
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
  ModelControl control = ModelControl::kNone;
  std::set<std::string, std::less<>> load_at_start = {};  // with kExplicit; "*" is all of them
  Limits limits = {};                                     // queue_length: requests that wait for one model
};

// What a request to load says in place of the model's folder.
struct LoadOverrides {
  std::optional<ServingConfig> config;  // of config.pbtxt
  UploadedFiles files;                  // of the whole folder, if there are any
};

class ModelRepository {
 public:
  // What a Model is made of.
  struct Source {
    std::string name;
    int64_t version = 0;
    FileDescriptor file;           // open
    std::filesystem::path folder;  // where data beside it may lie
    ServingConfig config;          // as config.pbtxt has it, or a request to load
  };
  using Loader = std::function<std::shared_ptr<Model>(Source source)>;

  // Scans and loads. Throws NotFound or InvalidArgument if `root` itself is no readable folder. `context` outlives the
  // repository.
  ModelRepository(std::filesystem::path root, RepositoryOptions options, Loader load, const ServingContext& context);

  ModelControl control() const { return options_.control; }

  // All of these: any thread.

  // The version asked for, or the highest that answers. Throws NotFound ("Request for unknown model: ...") if there is none of
  // that name or number, Unavailable with the reason if it is there and not ready.
  std::shared_ptr<ServedModel> find(std::string_view name, std::optional<int64_t> version = {}) const;
  // Ascending. Empty for an unknown name.
  std::vector<int64_t> ready_versions(std::string_view name) const;
  // Whether everything that should be served is.
  bool all_ready() const;
  // By name, then by version.
  std::vector<ModelListing> listings() const;

  // Loads the versions of a model that the policy selects, anew if they are served already, and returns when they are. Throws
  // InvalidArgument ("failed to load '<name>', ...") if one of them cannot be; what was served before is then served on.
  void load(const std::string& name, const LoadOverrides& overrides = {});
  // Takes the model away from new requests; it goes, with its memory, when the last answer is out. Throws NotFound for one that
  // was never there.
  void unload(const std::string& name);
  // Looks at the folder. A model that is new, gone or other than when it was loaded is loaded or unloaded if it is still the same
  // as at the last look: one that is being copied waits.
  void poll();

 private:
  using Versions = std::vector<ModelListing>;
  using Fingerprint = std::vector<std::pair<std::string, std::pair<int64_t, int64_t>>>;  // files: sizes and times of change

  std::vector<std::string> model_folders() const;
  Versions load_all(const std::string& name, const std::filesystem::path& folder,
                    const std::optional<ServingConfig>& config) const;
  Versions load_folder(const std::string& name) const { return load_all(name, root_ / name, std::nullopt); }
  ServingConfig read_config(const std::filesystem::path& folder) const;
  ModelListing load_version(const std::string& name, int64_t version, const std::filesystem::path& folder,
                            const ServingConfig& config) const;
  std::string without_root(std::string text, const std::filesystem::path& root) const;
  Fingerprint fingerprint(const std::string& name) const;
  void put(const std::string& name, Versions versions);
  void mark(const std::string& name, ModelState state);
  void explain(const std::string& name, const std::string& reason);

  const std::filesystem::path root_;
  const RepositoryOptions options_;
  const Loader load_;
  const ServingContext context_;

  std::mutex changing_;                                            // held while one model is loaded or unloaded
  std::map<std::string, Fingerprint, std::less<>> loaded_, seen_;  // as they were loaded, and at the last look
  mutable std::mutex mutex_;                                       // of models_
  std::map<std::string, Versions, std::less<>> models_;
};

// The usual Loader: import, default passes, plan.
ModelRepository::Loader onnx_loader(const ModelOptions& options, const Limits& limits);

}  // namespace tandem
