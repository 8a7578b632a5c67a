// A model's configuration: the fields of Triton's ModelConfig that Tandem acts on, as plain values.
//
// It begins with config.pbtxt, which need not be there, or with the JSON of a load request; what these leave out is taken from the model
// (complete_model_config). The fields that Tandem does not act on are kept as they came, and answered by /config and ModelConfig.
// Dimensions leave the batch out if max_batch_size is above 0; -1 is any size.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/batching/batching_options.h"
#include "serving/core/signature.h"
#include "serving/core/version_policy.h"

namespace inference {
class ModelConfig;
}

namespace tandem {

struct ConfigTensor {
  std::string name;
  DType dtype = DType::kUndefined;  // not said
  std::vector<int64_t> dims;        // of a request; empty: not said
  std::optional<std::vector<int64_t>> reshape = {};  // what the model sees, if that is something else
  std::string label_filename = {};  // of an output: a class name a line
};

struct InstanceGroup {
  enum class Kind : uint8_t { kAuto, kGpu, kCpu, kModel };
  std::string name;
  int64_t count = 0;  // 0: not said
  Kind kind = Kind::kAuto;
  std::vector<int64_t> gpus = {};
};

struct WarmupInput {
  enum class Data : uint8_t { kNone, kZero, kRandom, kFile };
  DType dtype = DType::kUndefined;
  std::vector<int64_t> dims;
  Data data = Data::kNone;
  std::string file = {};
};

// A request that is run before the model is ready.
struct Warmup {
  std::string name;
  int64_t batch_size = 0;
  int64_t count = 0;  // runs; 0: one
  std::map<std::string, WarmupInput> inputs;
};

struct ServingConfig {
  std::string name, platform, backend;
  std::optional<VersionPolicy> versions;
  std::optional<int64_t> max_batch_size;  // 0: no batch dimension
  std::vector<ConfigTensor> inputs, outputs;
  std::vector<InstanceGroup> instances;
  std::optional<BatchingOptions> batching;  // dynamic_batching, if it is there
  std::string default_model_filename;
  std::optional<bool> cuda_graphs;   // optimization.cuda.graphs
  std::vector<int64_t> graph_sizes;  // optimization.cuda.graph_spec.batch_size
  std::vector<Warmup> warmups;
  std::map<std::string, std::string> parameters;
  bool response_cache = false;
  bool decoupled = false;
  std::string other_fields = {};           // the whole message as it came, serialized
  std::map<std::string, int> lines = {};   // of the fields in the text, by path: "input[0].dims"; empty for JSON
};

// One thing that is wrong with a configuration.
struct ConfigProblem {
  std::string path;   // "input[0].dims"
  int line = 0;       // of config.pbtxt; 0: the field has none
  std::string why;
  std::string write;  // what would be right there; "": nothing is known to be
};
// "line 3: input[0].dims: why; write dims: [4]"
std::string to_string(const ConfigProblem& problem);

// `text` as in config.pbtxt. Throws InvalidArgument naming line and field for what is no ModelConfig (unknown fields too), and for what no
// model could have: a size below 0, a name twice, a priority that is out of range, scheduling that Tandem does not have.
ServingConfig parse_model_config(std::string_view text);
// The same, but what is wrong whatever the model is goes to `problems`, all of it.
ServingConfig read_model_config(std::string_view text, std::vector<ConfigProblem>& problems);
// The same in proto3's JSON form, numbers as numbers or in quotes.
ServingConfig parse_model_config_json(std::string_view text);

// What a model is that a configuration is held against.
struct ConfiguredModel {
  std::string name;
  const Signature& signature;
  int64_t max_batch = 0;  // rows of one request that the server takes; 0 without a batch dimension
  int lanes = 1;
};

// All that contradicts the model, in the words of Triton and with what would be right.
std::vector<ConfigProblem> config_problems(const ServingConfig& config, const ConfiguredModel& model);

// Throws InvalidArgument, naming the line, for what contradicts the model, in the words of Triton and with what would be right; then fills in
// all that was not said.
void complete_model_config(ServingConfig& config, const ConfiguredModel& model);

// As the protocol's message: `other_fields`, with the plain fields over them.
void write_message(const ServingConfig& config, inference::ModelConfig& message);

// "line 3: input[0].dims", or without the line if the field has none: the beginning of an error.
std::string where_in_config(const ServingConfig& config, const std::string& path);

}  // namespace tandem
