// `tandem check`: models held against their configuration, and tried, without being served.
#include <algorithm>
#include <set>

#include "runtime/io/file.h"
#include "serving/core/model_name.h"
#include "serving/engine/repository.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// Sub-folders that are neither versions nor known for something else.
std::vector<std::string> passed_over(const fs::path& folder) {
  static const std::set<std::string> kKnown{"configs", "warmup", "initial_state"};
  std::vector<std::string> notes;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (entry.symlink_status().type() != fs::file_type::directory || name[0] == '.' || kKnown.contains(name)) continue;
    if (parse_version(name) == 0) notes.push_back("folder '" + name + "' is passed over: versions are whole numbers from 1 without leading zeros");
  }
  std::ranges::sort(notes);
  return notes;
}

// The files of class names that a configuration names and that are not there.
std::vector<ConfigProblem> missing_labels(const ServingConfig& config, const fs::path& folder) {
  std::vector<ConfigProblem> problems;
  for (size_t i = 0; i < config.outputs.size(); ++i) {
    const std::string& file = config.outputs[i].label_filename;
    const std::string path = "output[" + std::to_string(i) + "].label_filename";
    if (file.empty() || fs::exists(folder / file)) continue;
    const auto line = config.lines.find(path);
    problems.push_back({path, line == config.lines.end() ? 0 : line->second, "there is no file '" + file + "' in the model's folder", ""});
  }
  return problems;
}

}  // namespace

// First without its configuration, so that all of that can be held against the model; then as it would be served.
ModelCheck ModelRepository::examine_version(int64_t version, const Package& package, std::vector<ConfigProblem> problems) {
  ModelCheck checked{.name = package.name, .version = version, .problems = std::move(problems)};
  try {
    ServingConfig bare;
    bare.default_model_filename = package.config.default_model_filename;
    const std::shared_ptr<Model> model = load_(open(version, Package{package.name, package.folder, bare, true}));
    const ConfiguredModel configured{package.name, model->signature(), model->max_batch(), model->options().lanes};
    std::ranges::move(config_problems(package.config, configured), std::back_inserter(checked.problems));
    std::ranges::move(missing_labels(package.config, package.folder), std::back_inserter(checked.problems));
  } catch (const std::exception& error) {
    checked.failure = without_root(error.what(), package.folder);
  }
  if (!checked.is_good()) return checked;
  const ModelListing listing = load_version(version, package);
  if (!listing.served) checked.failure = listing.reason;
  else if (!listing.reason.empty()) checked.notes.push_back(listing.reason);
  return checked;
}

std::vector<ModelCheck> ModelRepository::examine(const std::string& name) {
  const fs::path folder = root_ / name;
  std::vector<ModelCheck> all;
  std::vector<ConfigProblem> problems;
  LoadOverrides overrides;
  try {
    const std::string file = "config.pbtxt";
    if (valid_model_name(name) && fs::exists(folder / file))
      overrides.config = read_model_config(read_file_beneath(folder, file, options_.limits.config_bytes), problems);
    const auto none = for_each_version(name, folder, overrides, [&](int64_t version, const Package& package) {
      all.push_back(examine_version(version, package, problems));
    });
    if (none) all.push_back({.name = name, .problems = problems, .failure = none->reason});
  } catch (const Error& error) {
    all.push_back({.name = name, .failure = "config.pbtxt, " + without_root(error.what(), folder)});
  } catch (const std::exception& error) {
    all.push_back({.name = name, .failure = without_root(error.what(), folder)});
  }
  std::ranges::move(passed_over(folder), std::back_inserter(all.front().notes));
  return all;
}

}  // namespace tandem
