// Which of several kernels that do the same work is the fastest here: found by running them (--tune), and kept for the next time.
//
// The estimates that decide otherwise (fastest_winograd_tiles, conv_chain_pays) have prices that were measured on other machines. Answers are kept in a file of
// JSON, by machine and build, then by the work's shape:
//
//   {"machines": {"AMD EPYC, vnni, build 3f0c...": {"3x3 56x56x64 to 64 at 56x56, 1 thread": "Winograd, tiles of 4", ...}}}
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>

namespace tandem {

// Work on operands that it owns. `touch` brings those into the caches that the layer before would have left there.
struct PreparedRun {
  std::function<void()> touch, run;
};

// One way to do the work.
struct Candidate {
  std::string name;
  std::function<PreparedRun()> prepare;
};

// Seconds that a run takes.
using Stopwatch = std::function<double(const std::function<void()>& run)>;
double wall_seconds(const std::function<void()>& run);

// Any thread; measurements wait for each other.
class Tuning {
 public:
  // Keeps what it finds in `file`, whose folders are made; empty: for itself alone. Reads of it what this build found on this machine. Throws InvalidArgument for a
  // file that holds something else, Unavailable if it cannot be read. An answer that cannot be written is kept by the object, and `on_problem` is told once.
  explicit Tuning(std::filesystem::path file = {}, Stopwatch stopwatch = wall_seconds);

  // $XDG_CACHE_HOME/tandem/tuning.json, or ~/.cache/tandem/tuning.json; empty if there is no home.
  static std::filesystem::path default_file();

  // The name of the fastest of `candidates`, of which the first is taken unless another one needs 3% less. Known ones are not measured again. Each candidate is
  // timed in turns with the others, with operands that other work has pushed out of the caches but for what it touches: some tens of milliseconds,
  // or six runs of each. REQUIRES at least one.
  std::string fastest(const std::string& work, std::span<const Candidate> candidates);

  // Called before something is measured, with its name.
  std::function<void(const std::string& work)> on_search;
  std::function<void(const std::string& problem)> on_problem;
  int searched() const { return searched_; }
  int known() const { return known_; }
  const std::filesystem::path& file() const { return file_; }

 private:
  void keep(const std::string& work, const std::string& name);

  const std::filesystem::path file_;
  const Stopwatch stopwatch_;
  const std::string machine_;
  std::mutex mutex_;
  std::map<std::string, std::string> fastest_;
  int searched_ = 0, known_ = 0;
  bool has_failed_ = false;  // to write
};

}  // namespace tandem
