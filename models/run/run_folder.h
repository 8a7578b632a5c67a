// The folder of one training run: which file is what, and how each is written.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/run/fit.h"

namespace tandem {

class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Throws AlreadyExists if a run is in the folder.
  void check_unused() const;
  // Makes the folder for a new run. Throws Unavailable if that cannot be.
  void create() const;

  std::filesystem::path path() const { return folder_; }
  std::filesystem::path config() const { return folder_ / "config.ini"; }  // resolved: every key with its value
  std::filesystem::path facts() const { return folder_ / "run.json"; }     // seed, source version, machine, data hash, split id
  std::filesystem::path metrics() const { return folder_ / "metrics.jsonl"; }  // one object an epoch
  std::filesystem::path checkpoints() const { return folder_ / "checkpoints"; }
  std::filesystem::path last_checkpoint() const { return checkpoints() / "last.ckpt"; }
  std::filesystem::path model() const { return folder_ / "model.onnx"; }
  std::filesystem::path manifest() const { return folder_ / "manifest.json"; }
  std::filesystem::path report() const { return folder_ / "report.html"; }
  // A finished run has its manifest: it is written last.
  bool finished() const { return std::filesystem::exists(manifest()); }

  // The epochs of metrics.jsonl up to and with `epoch`; later lines belong to work that a crash undid.
  std::vector<EpochRecord> read_epochs(int64_t epoch) const;
  // run.json; empty if the run died before it was written. Throws InvalidArgument if it is damaged.
  std::map<std::string, std::string> read_facts() const;
  void write_epochs(const std::vector<EpochRecord>& epochs) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace tandem
