// What a configuration may say, whatever the model is.
#include <algorithm>
#include <set>

#include "kernels/base/error.h"
#include "serving/core/config_findings.h"
#include "serving/core/model_config_message.h"

namespace tandem {
namespace {

void check_tensors(ConfigFindings& found, const char* field, const std::vector<ConfigTensor>& tensors) {
  std::set<std::string> names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string path = element_path(field, i);
    if (tensors[i].name.empty())
      found.add(path, "a name is missing");
    else if (!names.insert(tensors[i].name).second)
      found.add(path + ".name", "'" + tensors[i].name + "' is there twice");
    for (int64_t dim : tensors[i].dims)
      if (dim != -1 && dim < 1)
        found.add(path + ".dims", "dimension must be integer >= 1, or -1 for a variable size, got " + std::to_string(dim));
  }
}

void check_policy(ConfigFindings& found, const std::string& model, const BatchingOptions& batching) {
  const int64_t levels = batching.priority_levels;
  const auto in_range = [&](int64_t level) { return level >= 1 && level <= levels; };
  const std::string range = "[1, " + std::to_string(levels) + "]";
  if (levels > 0 && !in_range(batching.default_priority))
    found.add("dynamic_batching.default_priority_level", "default priority level must be in range " + range + " for model '" + model + "'",
              "default_priority_level: 1");
  for (const auto& [level, policy] : batching.priority_policies)
    if (!in_range(level))
      found.add("dynamic_batching.priority_queue_policy",
                levels > 0 ? "priority " + std::to_string(level) + " must be in range " + range
                           : "there are no priorities: set priority_levels",
                levels > 0 ? "" : "priority_levels: " + std::to_string(level));
}

void check_instances(ConfigFindings& found, const std::vector<InstanceGroup>& instances) {
  for (size_t i = 0; i < instances.size(); ++i)
    if (instances[i].count < 0)
      found.add(element_path("instance_group", i) + ".count", "instance group must have count >= 1", "count: 1");
}

void check_backend(ConfigFindings& found, const ServingConfig& config) {
  static const std::set<std::string> kBackends{"", "tandem", "onnxruntime"};
  static const std::set<std::string> kPlatforms{"", "tandem_onnx", "onnxruntime_onnx"};
  if (!kBackends.contains(config.backend))
    found.add("backend", "there is no '" + config.backend + "' here: models are ONNX; leave it out, or write \"onnxruntime\"",
              "backend: \"onnxruntime\"");
  if (!kPlatforms.contains(config.platform))
    found.add("platform", "there is no '" + config.platform + "' here: models are ONNX; leave it out, or write \"onnxruntime_onnx\"",
              "platform: \"onnxruntime_onnx\"");
  if (config.decoupled)
    found.add("model_transaction_policy.decoupled", "a model answers each request once; leave it out", "decoupled: false");
}

// The preferred sizes that may stay, as text.
std::string sizes_that_fit(const BatchingOptions& batching, int64_t most) {
  std::string text;
  for (int64_t size : batching.preferred_sizes)
    if (size > 0 && size <= most) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "preferred_batch_size: [" + text + "]";
}

}  // namespace

void check_batching(const ServingConfig& config, ConfigFindings& found) {
  const BatchingOptions& batching = *config.batching;
  const std::string path = "dynamic_batching.preferred_batch_size";
  const int64_t most = config.max_batch_size.value_or(INT64_MAX);
  for (int64_t size : batching.preferred_sizes) {
    if (size <= 0)
      found.add(path, "dynamic batching preferred size must be positive, got " + std::to_string(size), sizes_that_fit(batching, most));
    if (size > most)
      found.add(path, "dynamic batching preferred size must be <= max batch size: " + std::to_string(size) + ", " + std::to_string(most),
                sizes_that_fit(batching, most));
  }
  check_policy(found, config.name, batching);
}

void check_fields(const ServingConfig& config, ConfigFindings& found) {
  if (config.max_batch_size.value_or(0) < 0) found.add("max_batch_size", "max_batch_size must not be negative", "max_batch_size: 0");
  check_backend(found, config);
  check_tensors(found, "input", config.inputs);
  check_tensors(found, "output", config.outputs);
  check_instances(found, config.instances);
  if (config.batching) check_batching(config, found);
  if (config.versions)
    for (int64_t version : config.versions->versions)
      if (version < 1) found.add("version_policy.specific.versions", "versions begin with 1, got " + std::to_string(version));
}

std::string to_string(const ConfigProblem& problem) {
  std::string text = problem.line > 0 ? "line " + std::to_string(problem.line) + ": " : "";
  text += problem.path + ": " + problem.why;
  // Some reasons say it themselves, in a sentence.
  if (!problem.write.empty() && problem.why.find("write ") == std::string::npos) text += "; write " + problem.write;
  return text;
}

void ConfigFindings::refuse_first() const {
  if (!problems_.empty()) fail(ErrorCode::kInvalidArgument, to_string(problems_.front()));
}

void check_model_config(const ServingConfig& config) {
  ConfigFindings found(config);
  check_fields(config, found);
  found.refuse_first();
}

}  // namespace tandem
