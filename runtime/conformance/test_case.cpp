#include "runtime/conformance/test_case.h"

#include <fnmatch.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/graph/limits.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// The number in "<prefix>12<suffix>".
std::optional<int> number_between(const std::string& name, std::string_view prefix, std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() <= prefix.size() + suffix.size()) return std::nullopt;
  const std::string digits = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  if (digits.size() > 6 || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::stoi(digits);
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::ranges::sort(paths);
  return paths;
}

// Those of `paths` with names like this, in the order of their numbers.
std::vector<fs::path> numbered(const std::vector<fs::path>& paths, std::string_view prefix, std::string_view suffix) {
  std::vector<std::pair<int, fs::path>> found;
  for (const fs::path& path : paths)
    if (const auto number = number_between(path.filename(), prefix, suffix)) found.emplace_back(*number, path);
  std::ranges::sort(found);
  std::vector<fs::path> sorted;
  for (auto& [number, path] : found) sorted.push_back(std::move(path));
  return sorted;
}

void read_data_json(const fs::path& path, TestCase& test) {
  if (!fs::exists(path)) return;
  const auto json = nlohmann::json::parse(read_file(path, Limits{}.config_bytes), nullptr, false);
  require(json.is_object(), "not a JSON object", path.string());
  const auto number = [&](const char* key) -> std::optional<double> {
    const auto found = json.find(key);
    if (found == json.end()) return std::nullopt;
    require(found->is_number() && found->get<double>() >= 0, "a tolerance is a number from 0 (file, key)", path.string(), key);
    return found->get<double>();
  };
  test.tolerance = {number("rtol").value_or(test.tolerance.relative), number("atol").value_or(test.tolerance.absolute), number("l2")};
}

class Search {
 public:
  explicit Search(const std::vector<std::string>& filters) : filters_(filters) {}

  std::vector<TestCase> run(const fs::path& root) {
    std::vector<fs::path> folders{root};
    while (!folders.empty()) {
      const fs::path folder = std::move(folders.back());
      folders.pop_back();
      const std::vector<fs::path> paths = entries(folder);
      if (fs::exists(folder / "model.onnx") || fs::exists(folder / "data.json"))
        add_folder(folder, paths);
      else
        add_single_files(folder, paths);
      for (const fs::path& path : paths)
        if (fs::is_directory(fs::symlink_status(path)) && !number_between(path.filename(), "test_data_set_", "")) folders.push_back(path);
    }
    std::ranges::sort(cases_, {}, [](const TestCase& test) { return std::tie(test.kind, test.name); });
    return std::move(cases_);
  }

 private:
  bool is_wanted(const std::string& name) const {
    return filters_.empty() ||
           std::ranges::any_of(filters_, [&](const std::string& filter) { return fnmatch(filter.c_str(), name.c_str(), 0) == 0; });
  }

  void add_folder(const fs::path& folder, const std::vector<fs::path>& paths) {
    const fs::path absolute = fs::weakly_canonical(folder);
    TestCase test{.name = absolute.filename(), .kind = absolute.parent_path().filename()};
    if (!is_wanted(test.name)) return;
    if (fs::exists(folder / "model.onnx")) test.model = folder / "model.onnx";
    for (const fs::path& set : numbered(paths, "test_data_set_", "")) {
      const std::vector<fs::path> files = entries(set);
      test.data_sets.push_back({numbered(files, "input_", ".pb"), numbered(files, "output_", ".pb")});
    }
    read_data_json(folder / "data.json", test);
    cases_.push_back(std::move(test));
  }

  // Models with a name of their own, and their outputs beside them.
  void add_single_files(const fs::path& folder, const std::vector<fs::path>& paths) {
    for (const fs::path& path : paths) {
      if (path.extension() != ".onnx") continue;
      TestCase test{.name = path.stem(), .kind = fs::weakly_canonical(folder).filename(), .model = path};
      if (!is_wanted(test.name)) continue;
      std::vector<fs::path> outputs = numbered(paths, test.name + "_output_", ".pb");
      if (!outputs.empty()) test.data_sets.push_back({{}, std::move(outputs), true});
      cases_.push_back(std::move(test));
    }
  }

  const std::vector<std::string>& filters_;
  std::vector<TestCase> cases_;
};

}  // namespace

std::vector<TestCase> find_test_cases(const fs::path& root, const std::vector<std::string>& filters) {
  check(fs::is_directory(root), ErrorCode::kNotFound, "no such folder", root.string());
  return Search(filters).run(root);
}

}  // namespace tandem
