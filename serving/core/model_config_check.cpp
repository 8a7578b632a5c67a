// What a configuration may say, whatever the model is; and what it may say of a model: its tensors, types and shapes.
#include <algorithm>
#include <set>

#include "kernels/base/error.h"
#include "serving/core/model_config_message.h"

namespace tandem {
namespace {

[[noreturn]] void refuse(const ServingConfig& config, const std::string& path, const std::string& why) {
  fail(ErrorCode::kInvalidArgument, where_in_config(config, path) + ": " + why);
}

std::string element(const char* field, size_t index) { return std::string(field) + "[" + std::to_string(index) + "]"; }

void check_tensors(const ServingConfig& config, const char* field, const std::vector<ConfigTensor>& tensors) {
  std::set<std::string> names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string path = element(field, i);
    if (tensors[i].name.empty()) refuse(config, path, "a name is missing");
    if (!names.insert(tensors[i].name).second) refuse(config, path + ".name", "'" + tensors[i].name + "' is there twice");
    for (int64_t dim : tensors[i].dims)
      if (dim != -1 && dim < 1)
        refuse(config, path + ".dims",
               "dimension must be integer >= 1, or -1 for a variable size, got " + std::to_string(dim));
  }
}

void check_policy(const ServingConfig& config, const BatchingOptions& batching) {
  const int64_t levels = batching.priority_levels;
  const auto in_range = [&](int64_t level) { return level >= 1 && level <= levels; };
  const std::string range = "[1, " + std::to_string(levels) + "]";
  if (levels > 0 && !in_range(batching.default_priority))
    refuse(config, "dynamic_batching.default_priority_level", "default priority level must be in range " + range + " for model '" +
                                                                  config.name + "'");
  for (const auto& [level, policy] : batching.priority_policies)
    if (!in_range(level))
      refuse(config, "dynamic_batching.priority_queue_policy",
             levels > 0 ? "priority " + std::to_string(level) + " must be in range " + range
                        : "there are no priorities: set priority_levels");
}

void check_batching(const ServingConfig& config, const BatchingOptions& batching) {
  for (int64_t size : batching.preferred_sizes) {
    const char* path = "dynamic_batching.preferred_batch_size";
    if (size <= 0) refuse(config, path, "dynamic batching preferred size must be positive, got " + std::to_string(size));
    if (config.max_batch_size && size > *config.max_batch_size)
      refuse(config, path, "dynamic batching preferred size must be <= max batch size: " + std::to_string(size) + ", " +
                               std::to_string(*config.max_batch_size));
  }
  check_policy(config, batching);
}

void check_instances(const ServingConfig& config) {
  for (size_t i = 0; i < config.instances.size(); ++i)
    if (config.instances[i].count < 0) refuse(config, element("instance_group", i) + ".count", "instance group must have count >= 1");
}

void check_backend(const ServingConfig& config) {
  static const std::set<std::string> kBackends{"", "tandem", "onnxruntime"};
  static const std::set<std::string> kPlatforms{"", "tandem_onnx", "onnxruntime_onnx"};
  if (!kBackends.contains(config.backend))
    refuse(config, "backend", "there is no '" + config.backend + "' here: models are ONNX; leave it out, or write \"onnxruntime\"");
  if (!kPlatforms.contains(config.platform))
    refuse(config, "platform",
           "there is no '" + config.platform + "' here: models are ONNX; leave it out, or write \"onnxruntime_onnx\"");
  if (config.decoupled)
    refuse(config, "model_transaction_policy.decoupled", "a model answers each request once; leave it out");
}

// Holds one kind of tensors, inputs or outputs, against the model's.
class TensorCheck {
 public:
  TensorCheck(const ServingConfig& config, const ConfiguredModel& model, const char* field)
      : config_(config), model_(model), field_(field) {}

  void check(const std::vector<ConfigTensor>& tensors, const std::vector<TensorSpec>& specs) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto spec = std::ranges::find(specs, tensors[i].name, &TensorSpec::name);
      if (spec == specs.end())
        refuse(config_, element(field_, i) + ".name", "unexpected inference " + std::string(field_) + " '" + tensors[i].name +
                                                          "', allowed " + field_ + "s are: " + names_of(specs));
      check_type(tensors[i], *spec, element(field_, i));
      check_dims(tensors[i], *spec, element(field_, i));
    }
  }

 private:
  static std::string names_of(const std::vector<TensorSpec>& specs) {
    std::string names;
    for (const TensorSpec& spec : specs) names += (names.empty() ? "" : ", ") + spec.name;
    return names;
  }

  void check_type(const ConfigTensor& tensor, const TensorSpec& spec, const std::string& path) const {
    if (tensor.dtype == DType::kUndefined || tensor.dtype == spec.dtype) return;
    refuse(config_, path + ".data_type", "model '" + model_.name + "', tensor '" + tensor.name + "': unexpected datatype " +
                                             config_type_name(tensor.dtype) + ", expecting " + config_type_name(spec.dtype));
  }

  void check_dims(const ConfigTensor& tensor, const TensorSpec& spec, const std::string& path) const {
    if (tensor.dims.empty() && !tensor.reshape) return;
    const bool batch = config_.max_batch_size.value_or(0) > 0;
    std::vector<int64_t> whole = tensor.reshape.value_or(tensor.dims);
    if (batch) whole.insert(whole.begin(), -1);
    const std::string what = "model '" + model_.name + "', tensor '" + tensor.name + "': the model expects ";
    const std::string field = path + (tensor.reshape ? ".reshape.shape" : ".dims");
    const std::string right = "; write " + field_text(spec, batch, tensor.reshape.has_value());
    if (whole.size() != spec.dims.size())
      refuse(config_, field, what + std::to_string(spec.dims.size()) + " dimensions (shape " + shape_text(sizes_of(spec)) +
                                 ") but the model configuration specifies " + std::to_string(whole.size()) + " dimensions (" +
                                 (batch ? "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor "
                                          "shape, making complete shape "
                                        : "shape ") +
                                 shape_text(whole) + ")" + right);
    for (size_t i = 0; i < whole.size(); ++i)
      if (spec.dims[i].known() && whole[i] != -1 && whole[i] != spec.dims[i].size)
        refuse(config_, field, what + "shape " + shape_text(sizes_of(spec)) + " but the model configuration specifies shape " +
                                   shape_text(whole) + right);
    if (tensor.reshape && without_ones(tensor.dims) != without_ones(*tensor.reshape))
      refuse(config_, path + ".reshape", "a request's shape may differ from the model's by dimensions of 1 alone: dims " +
                                             shape_text(tensor.dims) + ", reshape " + shape_text(*tensor.reshape));
  }

  static std::vector<int64_t> sizes_of(const TensorSpec& spec) {
    std::vector<int64_t> sizes;
    for (const Dim& dim : spec.dims) sizes.push_back(dim.known() ? dim.size : -1);
    return sizes;
  }

  static std::vector<int64_t> without_ones(std::vector<int64_t> sizes) {
    std::erase(sizes, 1);
    return sizes;
  }

  static std::string shape_text(const std::vector<int64_t>& sizes) {
    std::string text;
    for (int64_t size : sizes) text += (text.empty() ? "" : ",") + std::to_string(size);
    return "[" + text + "]";
  }

  static std::string field_text(const TensorSpec& spec, bool batch, bool reshape) {
    std::vector<int64_t> sizes = sizes_of(spec);
    if (batch && !sizes.empty()) sizes.erase(sizes.begin());
    const std::string shape = shape_text(sizes);
    if (sizes.empty()) return "dims: [1] reshape { shape: [] }";
    return reshape ? "reshape { shape: " + shape + " }" : "dims: " + shape;
  }

  const ServingConfig& config_;
  const ConfiguredModel& model_;
  const char* field_;
};

void check_batch(const ServingConfig& config, const ConfiguredModel& model) {
  if (!config.max_batch_size || *config.max_batch_size == 0) return;
  if (!model.signature.batched)
    refuse(config, "max_batch_size", "model '" + model.name +
                                         "' has no batch dimension: the first dimension of all inputs would have to be one and the "
                                         "same variable size; write max_batch_size: 0");
  if (*config.max_batch_size > model.max_batch)
    refuse(config, "max_batch_size", std::to_string(*config.max_batch_size) + " is beyond the server's --max-batch, " +
                                         std::to_string(model.max_batch));
}

// Whether dims were written with the batch in them, as for max_batch_size 0.
bool has_whole_shapes(const ServingConfig& config, const Signature& signature) {
  return std::ranges::any_of(config.inputs, [&](const ConfigTensor& tensor) {
    const auto spec = std::ranges::find(signature.inputs, tensor.name, &TensorSpec::name);
    return spec != signature.inputs.end() && !tensor.reshape && !tensor.dims.empty() && tensor.dims.size() == spec->dims.size() &&
           spec->dims.size() > 1;
  });
}

void complete_tensors(std::vector<ConfigTensor>& tensors, const std::vector<TensorSpec>& specs, bool batch) {
  for (const TensorSpec& spec : specs) {
    auto tensor = std::ranges::find(tensors, spec.name, &ConfigTensor::name);
    if (tensor == tensors.end()) tensor = tensors.insert(tensors.end(), {spec.name, spec.dtype, {}});
    tensor->dtype = spec.dtype;
    if (!tensor->dims.empty()) continue;
    for (size_t i = batch ? 1 : 0; i < spec.dims.size(); ++i) tensor->dims.push_back(spec.dims[i].known() ? spec.dims[i].size : -1);
    if (!tensor->dims.empty()) continue;
    tensor->dims = {1};  // a request has a dimension where the model has none
    tensor->reshape.emplace();
  }
}

}  // namespace

void check_model_config(const ServingConfig& config) {
  if (config.max_batch_size.value_or(0) < 0) refuse(config, "max_batch_size", "max_batch_size must not be negative");
  check_backend(config);
  check_tensors(config, "input", config.inputs);
  check_tensors(config, "output", config.outputs);
  check_instances(config);
  if (config.batching) check_batching(config, *config.batching);
  if (config.versions)
    for (int64_t version : config.versions->versions)
      if (version < 1) refuse(config, "version_policy.specific.versions", "versions begin with 1, got " + std::to_string(version));
}

void complete_model_config(ServingConfig& config, const ConfiguredModel& model) {
  const Signature& signature = model.signature;
  if (!config.name.empty() && config.name != model.name)
    refuse(config, "name", "unexpected directory name '" + model.name + "' for model '" + config.name +
                               "', directory name must equal model name; write name: \"" + model.name + "\"");
  config.name = model.name;
  check_batch(config, model);
  if (!config.max_batch_size) config.max_batch_size = has_whole_shapes(config, signature) ? 0 : model.max_batch;
  TensorCheck(config, model, "input").check(config.inputs, signature.inputs);
  TensorCheck(config, model, "output").check(config.outputs, signature.outputs);
  if (!config.inputs.empty() && config.inputs.size() != signature.inputs.size())
    refuse(config, "input", "unable to load model '" + model.name + "', configuration expects " +
                                std::to_string(config.inputs.size()) + " inputs, model provides " +
                                std::to_string(signature.inputs.size()));
  if (config.batching) check_batching(config, *config.batching);
  complete_tensors(config.inputs, signature.inputs, *config.max_batch_size > 0);
  complete_tensors(config.outputs, signature.outputs, *config.max_batch_size > 0);
  if (config.platform.empty()) config.platform = "tandem_onnx";
  if (config.backend.empty()) config.backend = "tandem";
  if (!config.versions) config.versions.emplace();
  if (config.instances.empty()) config.instances.push_back({model.name, model.lanes, InstanceGroup::Kind::kAuto});
  for (InstanceGroup& group : config.instances) group.count = std::max<int64_t>(1, group.count);
  if (config.default_model_filename.empty()) config.default_model_filename = "model.onnx";
}

}  // namespace tandem
