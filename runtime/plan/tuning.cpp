#include "runtime/plan/tuning.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/api/isa.h"
#include "kernels/base/error.h"
#include "runtime/device/topology.h"
#include "runtime/io/file.h"
#include "runtime/model/build_id.h"

namespace tandem {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMostFile = 64 << 20;  // bytes
constexpr double kClearlyLess = 0.97;
constexpr int kFewestRounds = 5, kMostRounds = 40;
constexpr double kSeconds = 0.015;                 // of each candidate
constexpr int64_t kMostPushed = int64_t{64} << 20;  // bytes

// Reads as much memory as the largest cache holds, up to 64 MiB: the weights of a layer have left the caches when a network comes back to it. By one thread, so
// the own caches of others keep theirs.
class CachePusher {
 public:
  CachePusher() {
    int64_t bytes = 8 << 20;
    for (const DataCache& cache : describe_machine().caches) bytes = std::max(bytes, cache.bytes);
    memory_.resize(static_cast<size_t>(std::min(bytes, kMostPushed)) / sizeof(uint64_t), 1);
  }
  void push() { sum_ = std::accumulate(memory_.begin(), memory_.end(), sum_); }

 private:
  std::vector<uint64_t> memory_;
  volatile uint64_t sum_ = 0;
};

// Least seconds of each, in turns.
std::vector<double> least_seconds(std::span<const Candidate> candidates, const Stopwatch& seconds_of) {
  std::vector<PreparedRun> runs;
  for (const Candidate& candidate : candidates) runs.push_back(candidate.prepare());
  std::vector<double> least(runs.size(), std::numeric_limits<double>::infinity()), all(runs.size());
  for (const PreparedRun& one : runs) one.run();  // memory is touched, the team is there
  CachePusher cache;
  for (int round = 0; round < kMostRounds && (round < kFewestRounds || std::ranges::max(all) < kSeconds); ++round)
    for (size_t i = 0; i < runs.size(); ++i) {
      cache.push();
      runs[i].touch();
      const double seconds = seconds_of(runs[i].run);
      least[i] = std::min(least[i], seconds);
      all[i] += seconds;
    }
  return least;
}

// The object, or an empty one if there is no file.
nlohmann::json read(const fs::path& file) {
  std::error_code failure;
  if (file.empty() || (!fs::exists(file, failure) && !failure)) return nlohmann::json::object();
  auto kept = nlohmann::json::parse(read_file(file, kMostFile), nullptr, false);
  const auto are_answers = [](const nlohmann::json& machine) {
    return machine.is_object() && std::ranges::all_of(machine, [](const nlohmann::json& name) { return name.is_string(); });
  };
  if (!kept.is_object() || !kept.contains("machines") || !kept["machines"].is_object() || !std::ranges::all_of(kept["machines"], are_answers))
    fail(ErrorCode::kInvalidArgument, "'" + file.string() + "' holds no answers of --tune; delete it, or name another file");
  return kept;
}

}  // namespace

double wall_seconds(const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Tuning::Tuning(fs::path file, Stopwatch stopwatch)
    : file_(std::move(file)), stopwatch_(std::move(stopwatch)), machine_(describe_machine().processor + ", " + std::string(name(cpu::chosen_isa())) + ", build " + build_id()) {
  const nlohmann::json kept = read(file_);
  if (kept.contains("machines") && kept["machines"].contains(machine_)) fastest_ = kept["machines"][machine_].get<std::map<std::string, std::string>>();
}

fs::path Tuning::default_file() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return fs::path(cache) / "tandem/tuning.json";
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache/tandem/tuning.json";
  return {};
}

std::string Tuning::fastest(const std::string& work, std::span<const Candidate> candidates) {
  const std::lock_guard lock(mutex_);
  if (const auto found = fastest_.find(work);
      found != fastest_.end() && std::ranges::any_of(candidates, [&](const Candidate& candidate) { return candidate.name == found->second; })) {
    ++known_;
    return found->second;
  }
  if (on_search) on_search(work);
  const std::vector<double> seconds = least_seconds(candidates, stopwatch_);
  const auto least = static_cast<size_t>(std::ranges::min_element(seconds) - seconds.begin());
  const std::string& name = candidates[seconds[least] < kClearlyLess * seconds[0] ? least : 0].name;
  fastest_[work] = name;
  ++searched_;
  try {
    keep(work, name);
  } catch (const Error& error) {
    if (!std::exchange(has_failed_, true) && on_problem) on_problem(error.what());
  }
  return name;
}

// Beside what other machines, and other processes on this one, have found meanwhile.
void Tuning::keep(const std::string& work, const std::string& name) {
  if (file_.empty()) return;
  nlohmann::json kept = read(file_);
  kept["machines"][machine_][work] = name;
  std::error_code failure;
  if (!file_.parent_path().empty()) fs::create_directories(file_.parent_path(), failure);
  write_file(file_, kept.dump(1) + "\n");
}

}  // namespace tandem
