#include "serving/engine/cost_profile.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "runtime/io/file.h"

namespace tandem {
namespace fs = std::filesystem;
namespace {

constexpr int kRuns = 4;                     // of each size; the first makes the plan and is not counted
constexpr int64_t kMostProfile = 64 << 10;  // bytes
constexpr int64_t kMostRows = 64;  // measured; larger batches, and their memory, come with requests
constexpr size_t kMostPoints = 64;

// What tells machines apart: the processor's name, and how many there are.
std::string machine() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string line, name;
  int count = 0;
  while (std::getline(cpuinfo, line))
    if (line.starts_with("model name")) {
      name = line;
      ++count;
    }
  return name + " " + std::to_string(count);
}

std::optional<fs::path> profile_of(const fs::path& folder, const fs::path& file, const Model& model) {
  if (folder.empty()) return std::nullopt;
  try {
    const std::string key = sha256_file(file) + machine() + (model.device().on_device ? model.device().asked : "");
    return folder / (sha256(key).substr(0, 32) + ".cost");
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::vector<BatchCost::Point> read_profile(const fs::path& path) {
  std::vector<BatchCost::Point> points;
  try {
    std::istringstream text(read_file(path, kMostProfile));
    BatchCost::Point point;
    while (points.size() < kMostPoints && text >> point.rows >> point.seconds >> point.deviation >> point.seen) points.push_back(point);
  } catch (const Error&) {  // there is none
  }
  return points;
}

void write_profile(const fs::path& path, const BatchCost& cost) {
  std::ostringstream text;
  for (const BatchCost::Point& point : cost.points())
    text << point.rows << ' ' << point.seconds << ' ' << point.deviation << ' ' << point.seen << '\n';
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  try {
    write_file(path, text.str());
  } catch (const Error&) {  // it is measured again the next time
  }
}

// Seconds of a batch of zeros.
double run_batch(Model& model, int64_t rows) {
  const std::vector<Tensor> examples = example_inputs(model.signature(), rows);
  std::vector<ConstTensorView> inputs;
  for (const Tensor& example : examples) inputs.push_back(example.view());
  const auto begin = std::chrono::steady_clock::now();
  model.run(0, inputs);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

BatchCost measure(Model& model, const Slo& slo) {
  BatchCost cost;
  if (open_dimension(model.signature())) return cost;
  const double target = std::chrono::duration<double>(slo.target).count();
  const int64_t most = std::clamp<int64_t>(model.max_batch(), 1, kMostRows);
  for (int64_t rows = 1; rows <= most; rows *= 2) {
    for (int run = 0; run < kRuns; ++run)
      if (const double seconds = run_batch(model, rows); run > 0) cost.observe(rows, seconds);
    if (cost.seconds(rows) > target) break;
  }
  return cost;
}

}  // namespace

BatchCost cost_of_batches(Model& model, const Slo& slo, const fs::path& folder, const fs::path& file) {
  const std::optional<fs::path> path = profile_of(folder, file, model);
  BatchCost cost;
  if (path) cost.start_from(read_profile(*path));
  if (cost.is_known()) return cost;
  try {
    cost = measure(model, slo);
  } catch (const Error&) {  // an op that refuses zeros: it is learnt from requests
    return {};
  }
  if (path && cost.is_known()) write_profile(*path, cost);
  return cost;
}

fs::path profile_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return fs::path(cache) / "tandem/costs";
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache/tandem/costs";
  return {};
}

}  // namespace tandem
