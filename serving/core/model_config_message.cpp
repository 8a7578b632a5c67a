#include "serving/core/model_config_message.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/base/error.h"
#include "model_config.pb.h"

namespace tandem {
namespace {

using std::chrono::microseconds;

constexpr std::array<std::pair<DType, inference::DataType>, 14> kTypes{{
    {DType::kBool, inference::TYPE_BOOL},
    {DType::kU8, inference::TYPE_UINT8},
    {DType::kU16, inference::TYPE_UINT16},
    {DType::kU32, inference::TYPE_UINT32},
    {DType::kU64, inference::TYPE_UINT64},
    {DType::kI8, inference::TYPE_INT8},
    {DType::kI16, inference::TYPE_INT16},
    {DType::kI32, inference::TYPE_INT32},
    {DType::kI64, inference::TYPE_INT64},
    {DType::kF16, inference::TYPE_FP16},
    {DType::kF32, inference::TYPE_FP32},
    {DType::kF64, inference::TYPE_FP64},
    {DType::kString, inference::TYPE_STRING},
    {DType::kBF16, inference::TYPE_BF16},
}};

DType dtype_of(inference::DataType type) {
  for (const auto& [dtype, number] : kTypes)
    if (number == type) return dtype;
  return DType::kUndefined;
}

inference::DataType type_of(DType dtype) {
  for (const auto& [known, number] : kTypes)
    if (known == dtype) return number;
  return inference::TYPE_INVALID;
}

template <class Repeated>
std::vector<int64_t> numbers(const Repeated& repeated) {
  return {repeated.begin(), repeated.end()};
}

template <class Repeated>
void set_numbers(const std::vector<int64_t>& from, Repeated& to) {
  to.Clear();
  for (int64_t number : from) to.Add(static_cast<typename Repeated::value_type>(number));
}

// Unsigned numbers are times, sizes and levels; beyond this none means anything.
constexpr uint64_t kMostUnsigned = static_cast<uint64_t>(INT64_MAX) / 1000;

int64_t plain(uint64_t number) { return static_cast<int64_t>(std::min(number, kMostUnsigned)); }

template <class Message>
ConfigTensor tensor_of(const Message& message) {
  ConfigTensor tensor{message.name(), dtype_of(message.data_type()), numbers(message.dims())};
  if (message.has_reshape()) tensor.reshape = numbers(message.reshape().shape());
  if constexpr (requires { message.label_filename(); }) tensor.label_filename = message.label_filename();
  return tensor;
}

QueuePolicy policy_of(const inference::ModelQueuePolicy& message) {
  return {.on_timeout = message.timeout_action() == inference::ModelQueuePolicy::DELAY ? QueuePolicy::OnTimeout::kDelay
                                                                                       : QueuePolicy::OnTimeout::kReject,
          .timeout = microseconds(plain(message.default_timeout_microseconds())),
          .allow_override = message.allow_timeout_override(),
          .max_size = message.max_queue_size()};
}

BatchingOptions batching_of(const inference::ModelDynamicBatching& message) {
  BatchingOptions options;
  options.preferred_sizes = numbers(message.preferred_batch_size());
  options.max_delay = microseconds(plain(message.max_queue_delay_microseconds()));
  options.preserve_ordering = message.preserve_ordering();
  options.priority_levels = plain(message.priority_levels());
  options.default_priority = plain(message.default_priority_level());
  options.policy = policy_of(message.default_queue_policy());
  for (const auto& [level, policy] : message.priority_queue_policy()) options.priority_policies[plain(level)] = policy_of(policy);
  return options;
}

std::optional<VersionPolicy> versions_of(const inference::ModelVersionPolicy& message) {
  VersionPolicy policy;
  if (message.has_all()) policy.kind = VersionPolicy::Kind::kAll;
  else if (message.has_specific()) policy = {VersionPolicy::Kind::kSpecific, 1, numbers(message.specific().versions())};
  else if (message.has_latest()) policy.latest = std::max<int64_t>(1, message.latest().num_versions());
  else return std::nullopt;
  return policy;
}

Warmup warmup_of(const inference::ModelWarmup& message) {
  Warmup warmup{message.name(), message.batch_size(), message.count(), {}};
  for (const auto& [name, input] : message.inputs()) {
    WarmupInput& to = warmup.inputs[name];
    to = {dtype_of(input.data_type()), numbers(input.dims())};
    if (input.zero_data()) to.data = WarmupInput::Data::kZero;
    if (input.random_data()) to.data = WarmupInput::Data::kRandom;
    if (!input.input_data_file().empty()) to.data = WarmupInput::Data::kFile;
    to.file = input.input_data_file();
  }
  return warmup;
}

// What the plain configuration has no place for, and without which answers would be others or checks left out.
void check_only_what_is_known(const inference::ModelConfig& message, const ServingConfig& config) {
  const auto refuse = [&](const char* field, const char* why) {
    fail(ErrorCode::kInvalidArgument, where_in_config(config, field) + ": " + why);
  };
  if (message.has_sequence_batching()) refuse("sequence_batching", "sequences are not supported yet");
  if (message.has_ensemble_scheduling()) refuse("ensemble_scheduling", "ensembles are not supported yet");
  if (message.batch_input_size() > 0) refuse("batch_input[0]", "inputs that the batch makes are not supported yet");
  if (message.batch_output_size() > 0) refuse("batch_output[0]", "outputs that are scattered over the batch are not supported yet");
  if (message.has_model_repository_agents()) refuse("model_repository_agents", "there are no agents: a manifest.json has the model's SHA-256");
  if (message.model_operations().op_library_filename_size() > 0)
    refuse("model_operations", "libraries of operators are not loaded");
}

// A text format of protobuf takes any number for an enum.
void check_types(const inference::ModelConfig& message, const ServingConfig& config) {
  const auto check_type = [&](const std::string& path, inference::DataType type) {
    require(type == inference::TYPE_INVALID || dtype_of(type) != DType::kUndefined,
            where_in_config(config, path + ".data_type") + ": no data type has the number", static_cast<int>(type));
  };
  for (int i = 0; i < message.input_size(); ++i) check_type("input[" + std::to_string(i) + "]", message.input(i).data_type());
  for (int i = 0; i < message.output_size(); ++i) check_type("output[" + std::to_string(i) + "]", message.output(i).data_type());
}

template <class Message>
void write_tensor(const ConfigTensor& tensor, Message& message) {
  message.set_name(tensor.name);
  message.set_data_type(type_of(tensor.dtype));
  set_numbers(tensor.dims, *message.mutable_dims());
  message.clear_reshape();
  if (tensor.reshape) set_numbers(*tensor.reshape, *message.mutable_reshape()->mutable_shape());
  if constexpr (requires { message.label_filename(); }) message.set_label_filename(tensor.label_filename);
}

// Entries that were there keep the fields that the plain ones lack.
template <class Repeated>
auto& entry(Repeated& repeated, size_t i) {
  return static_cast<int>(i) < repeated.size() ? *repeated.Mutable(static_cast<int>(i)) : *repeated.Add();
}

void write_policy(const QueuePolicy& policy, inference::ModelQueuePolicy& message) {
  message.set_timeout_action(policy.on_timeout == QueuePolicy::OnTimeout::kDelay ? inference::ModelQueuePolicy::DELAY
                                                                                 : inference::ModelQueuePolicy::REJECT);
  message.set_default_timeout_microseconds(static_cast<uint64_t>(policy.timeout.count()));
  message.set_allow_timeout_override(policy.allow_override);
  message.set_max_queue_size(static_cast<uint32_t>(policy.max_size));
}

void write_batching(const BatchingOptions& options, inference::ModelDynamicBatching& message) {
  const bool had_policy = message.has_default_queue_policy();
  set_numbers(options.preferred_sizes, *message.mutable_preferred_batch_size());
  message.set_max_queue_delay_microseconds(static_cast<uint64_t>(options.max_delay.count()));
  message.set_preserve_ordering(options.preserve_ordering);
  message.set_priority_levels(static_cast<uint64_t>(options.priority_levels));
  message.set_default_priority_level(static_cast<uint64_t>(options.default_priority));
  if (had_policy) write_policy(options.policy, *message.mutable_default_queue_policy());
  message.clear_priority_queue_policy();
  for (const auto& [level, policy] : options.priority_policies)
    write_policy(policy, (*message.mutable_priority_queue_policy())[static_cast<uint64_t>(level)]);
}

void write_versions(const VersionPolicy& policy, inference::ModelVersionPolicy& message) {
  switch (policy.kind) {
    case VersionPolicy::Kind::kAll: message.mutable_all(); break;
    case VersionPolicy::Kind::kSpecific: set_numbers(policy.versions, *message.mutable_specific()->mutable_versions()); break;
    case VersionPolicy::Kind::kLatest: message.mutable_latest()->set_num_versions(static_cast<uint32_t>(policy.latest)); break;
  }
}

void write_instances(const std::vector<InstanceGroup>& groups, inference::ModelConfig& message) {
  for (size_t i = 0; i < groups.size(); ++i) {
    inference::ModelInstanceGroup& to = entry(*message.mutable_instance_group(), i);
    to.set_name(groups[i].name);
    to.set_count(static_cast<int32_t>(groups[i].count));
    to.set_kind(static_cast<inference::ModelInstanceGroup::Kind>(groups[i].kind));
    set_numbers(groups[i].gpus, *to.mutable_gpus());
  }
}

void write_graphs(const ServingConfig& config, inference::ModelConfig& message) {
  if (config.cuda_graphs) message.mutable_optimization()->mutable_cuda()->set_graphs(*config.cuda_graphs);
  const auto same_size = [](const auto& spec, int64_t size) { return spec.batch_size() == size; };
  if (std::ranges::equal(message.optimization().cuda().graph_spec(), config.graph_sizes, same_size)) return;
  auto& specs = *message.mutable_optimization()->mutable_cuda()->mutable_graph_spec();
  specs.Clear();
  for (int64_t size : config.graph_sizes) specs.Add()->set_batch_size(static_cast<int32_t>(size));
}

}  // namespace

std::string config_type_name(DType dtype) { return inference::DataType_Name(type_of(dtype)); }

ServingConfig config_of_message(const inference::ModelConfig& message, std::map<std::string, int> lines) {
  ServingConfig config;
  config.lines = std::move(lines);
  check_only_what_is_known(message, config);
  check_types(message, config);
  config.name = message.name();
  config.platform = message.platform();
  config.backend = message.backend();
  config.versions = versions_of(message.version_policy());
  if (message.has_max_batch_size()) config.max_batch_size = message.max_batch_size();
  for (const auto& input : message.input()) config.inputs.push_back(tensor_of(input));
  for (const auto& output : message.output()) config.outputs.push_back(tensor_of(output));
  for (const auto& group : message.instance_group())
    config.instances.push_back(
        {group.name(), group.count(), static_cast<InstanceGroup::Kind>(group.kind()), numbers(group.gpus())});
  if (message.has_dynamic_batching()) config.batching = batching_of(message.dynamic_batching());
  config.default_model_filename = message.default_model_filename();
  const auto& cuda = message.optimization().cuda();
  if (cuda.has_graphs()) config.cuda_graphs = cuda.graphs();
  for (const auto& spec : cuda.graph_spec()) config.graph_sizes.push_back(spec.batch_size());
  for (const auto& warmup : message.model_warmup()) config.warmups.push_back(warmup_of(warmup));
  for (const auto& [key, value] : message.parameters()) config.parameters[key] = value.string_value();
  config.response_cache = message.response_cache().enable();
  config.decoupled = message.model_transaction_policy().decoupled();
  message.SerializeToString(&config.other_fields);
  inference::ModelConfig again;
  require(again.ParseFromString(config.other_fields), "a text of the configuration is not UTF-8");
  return config;
}

// Warm-ups and parameters are never completed: the message has them as they came.
void write_message(const ServingConfig& config, inference::ModelConfig& message) {
  ensure(message.ParseFromString(config.other_fields), "a configuration that was read cannot be read again");
  message.set_name(config.name);
  message.set_platform(config.platform);
  message.set_backend(config.backend);
  if (config.versions) write_versions(*config.versions, *message.mutable_version_policy());
  if (config.max_batch_size) message.set_max_batch_size(static_cast<int32_t>(*config.max_batch_size));
  for (size_t i = 0; i < config.inputs.size(); ++i) write_tensor(config.inputs[i], entry(*message.mutable_input(), i));
  for (size_t i = 0; i < config.outputs.size(); ++i) write_tensor(config.outputs[i], entry(*message.mutable_output(), i));
  write_instances(config.instances, message);
  if (config.batching) write_batching(*config.batching, *message.mutable_dynamic_batching());
  message.set_default_model_filename(config.default_model_filename);
  write_graphs(config, message);
  message.mutable_model_transaction_policy()->set_decoupled(config.decoupled);
  message.mutable_response_cache()->set_enable(config.response_cache);
}

}  // namespace tandem
