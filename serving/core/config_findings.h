// What is wrong with a configuration, collected: each thing with its place, the reason and what would be right. For this folder only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "serving/core/model_config.h"

namespace tandem {

class ConfigFindings {
 public:
  explicit ConfigFindings(const ServingConfig& config) : config_(config) {}

  // `path`: as in "input[0].dims". `write`: the text that would be right in its place; "" if nothing is known to be.
  void add(const std::string& path, std::string why, std::string write = "") {
    const auto line = config_.lines.find(path);
    problems_.push_back({path, line == config_.lines.end() ? 0 : line->second, std::move(why), std::move(write)});
  }
  std::vector<ConfigProblem> take() { return std::move(problems_); }
  // Throws InvalidArgument with the first, if there are any.
  void refuse_first() const;

 private:
  const ServingConfig& config_;
  std::vector<ConfigProblem> problems_;
};

inline std::string element_path(const char* field, size_t index) { return std::string(field) + "[" + std::to_string(index) + "]"; }

// What is wrong whatever the model is.
void check_fields(const ServingConfig& config, ConfigFindings& found);
void check_batching(const ServingConfig& config, ConfigFindings& found);

}  // namespace tandem
