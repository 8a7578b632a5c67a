#include "serving/engine/cost_profile.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <future>
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
    const std::string lanes = std::to_string(model.options().lanes) + "x" + std::to_string(model.options().threads);
    return folder / (sha256(key).substr(0, 32) + "-" + lanes + ".cost");
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

// Seconds of batches of zeros, one after the other.
std::vector<double> run_batches(Model& model, int lane, int64_t rows) {
  const std::vector<Tensor> examples = example_inputs(model.signature(), rows);
  std::vector<ConstTensorView> inputs;
  for (const Tensor& example : examples) inputs.push_back(example.view());
  std::vector<double> seconds;
  for (int run = 0; run < kRuns; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    model.run(lane, inputs);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return seconds;
}

// On all lanes at once, which share caches and memory then as they will when it matters.
void observe_all_lanes(Model& model, int64_t rows, WarmUpThreads& threads, BatchCost& cost) {
  std::vector<std::future<std::vector<double>>> lanes;
  std::exception_ptr failure;  // the first: all lanes end before it is thrown, for they use the model
  try {
    lanes.reserve(static_cast<size_t>(model.options().lanes));
    for (int lane = 0; lane < model.options().lanes; ++lane)
      if (Lane* thread = threads.of_lane(lane)) lanes.push_back(thread->call([&model, lane, rows] { return run_batches(model, lane, rows); }));
  } catch (...) {
    failure = std::current_exception();
  }
  for (std::future<std::vector<double>>& lane : lanes) try {
      const std::vector<double> seconds = lane.get();
      for (size_t run = 1; run < seconds.size(); ++run) cost.observe(rows, seconds[run]);
    } catch (...) {
      if (!failure) failure = std::current_exception();
    }
  if (failure) std::rethrow_exception(failure);
}

BatchCost measure(Model& model, const Slo& slo, WarmUpThreads& threads) {
  BatchCost cost;
  if (open_dimension(model.signature())) return cost;
  const double target = std::chrono::duration<double>(slo.target).count();
  const int64_t most = std::clamp<int64_t>(model.max_batch(), 1, kMostRows);
  for (int64_t rows = 1; rows <= most; rows *= 2) {
    observe_all_lanes(model, rows, threads, cost);
    if (!cost.is_known() || cost.seconds(rows) > target) break;
  }
  return cost;
}

}  // namespace

BatchCost cost_of_batches(Model& model, const Slo& slo, const fs::path& folder, const fs::path& file, WarmUpThreads& threads) {
  const std::optional<fs::path> path = profile_of(folder, file, model);
  BatchCost cost;
  if (path) cost.start_from(read_profile(*path));
  if (cost.is_known()) return cost;
  try {
    cost = measure(model, slo, threads);
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
