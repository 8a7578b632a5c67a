// What a configuration may say of a model, its tensors, types and shapes; and what it leaves out, taken from the model.
#include <algorithm>

#include "runtime/graph/nearest_name.h"
#include "serving/core/config_findings.h"
#include "serving/core/model_config_message.h"

namespace tandem {
namespace {

std::string shape_text(const std::vector<int64_t>& sizes) {
  std::string text;
  for (int64_t size : sizes) text += (text.empty() ? "" : ",") + std::to_string(size);
  return "[" + text + "]";
}

std::vector<int64_t> sizes_of(const TensorSpec& spec) {
  std::vector<int64_t> sizes;
  for (const Dim& dim : spec.dims) sizes.push_back(dim.known() ? dim.size : -1);
  return sizes;
}

std::vector<int64_t> without_ones(std::vector<int64_t> sizes) {
  std::erase(sizes, 1);
  return sizes;
}

// The field that says the shape of a tensor rightly.
std::string shape_field(const TensorSpec& spec, bool batch, bool reshape) {
  std::vector<int64_t> sizes = sizes_of(spec);
  if (batch && !sizes.empty()) sizes.erase(sizes.begin());
  if (sizes.empty()) return "dims: [1] reshape { shape: [] }";
  return reshape ? "reshape { shape: " + shape_text(sizes) + " }" : "dims: " + shape_text(sizes);
}

// Holds one kind of tensors, inputs or outputs, against the model's.
class TensorCheck {
 public:
  TensorCheck(ConfigFindings& found, const ConfiguredModel& model, bool batch, const char* field)
      : found_(found), model_(model), batch_(batch), field_(field) {}

  void check(const std::vector<ConfigTensor>& tensors, const std::vector<TensorSpec>& specs) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      const std::string path = element_path(field_, i);
      const auto spec = std::ranges::find(specs, tensors[i].name, &TensorSpec::name);
      if (spec == specs.end()) {
        if (!tensors[i].name.empty()) tell_unknown(path, tensors[i], tensors, specs);
        continue;
      }
      check_type(tensors[i], *spec, path);
      check_dims(tensors[i], *spec, path);
    }
  }

  // All inputs of the model must be named if any is.
  void check_missing(const std::vector<ConfigTensor>& tensors, const std::vector<TensorSpec>& specs) {
    if (tensors.empty() || tensors.size() == specs.size()) return;
    std::string missing;
    for (const TensorSpec& spec : specs)
      if (!is_named(tensors, spec.name))
        missing += std::string(missing.empty() ? "" : " ") + field_ + " { name: \"" + spec.name + "\" data_type: " +
                   config_type_name(spec.dtype) + " " + shape_field(spec, batch_, false) + " }";
    found_.add(field_,
               "unable to load model '" + model_.name + "', configuration expects " + std::to_string(tensors.size()) +
                   " inputs, model provides " + std::to_string(specs.size()),
               missing);
  }

 private:
  static bool is_named(const std::vector<ConfigTensor>& tensors, const std::string& name) {
    return std::ranges::find(tensors, name, &ConfigTensor::name) != tensors.end();
  }

  // The one that is not yet named, or the nearest.
  void tell_unknown(const std::string& path, const ConfigTensor& tensor, const std::vector<ConfigTensor>& tensors,
                    const std::vector<TensorSpec>& specs) {
    std::string names;
    std::vector<std::string_view> free;
    for (const TensorSpec& spec : specs) {
      names += (names.empty() ? "" : ", ") + spec.name;
      if (!is_named(tensors, spec.name)) free.push_back(spec.name);
    }
    const std::string_view meant = free.size() == 1 ? free[0] : nearest_name(tensor.name, free);
    found_.add(path + ".name",
               "unexpected inference " + std::string(field_) + " '" + tensor.name + "', allowed " + field_ + "s are: " + names,
               meant.empty() ? "" : "name: \"" + std::string(meant) + "\"");
  }

  void check_type(const ConfigTensor& tensor, const TensorSpec& spec, const std::string& path) {
    if (tensor.dtype == DType::kUndefined || tensor.dtype == spec.dtype) return;
    const std::string right = config_type_name(spec.dtype);
    found_.add(path + ".data_type",
               "model '" + model_.name + "', tensor '" + tensor.name + "': unexpected datatype " + config_type_name(tensor.dtype) +
                   ", expecting " + right,
               "data_type: " + right);
  }

  void check_dims(const ConfigTensor& tensor, const TensorSpec& spec, const std::string& path) {
    if (tensor.dims.empty() && !tensor.reshape) return;
    std::vector<int64_t> whole = tensor.reshape.value_or(tensor.dims);
    if (batch_) whole.insert(whole.begin(), -1);
    const std::string what = "model '" + model_.name + "', tensor '" + tensor.name + "': the model expects ";
    const std::string field = path + (tensor.reshape ? ".reshape.shape" : ".dims");
    const std::string right = shape_field(spec, batch_, tensor.reshape.has_value());
    if (whole.size() != spec.dims.size())
      return found_.add(field,
                        what + std::to_string(spec.dims.size()) + " dimensions (shape " + shape_text(sizes_of(spec)) +
                            ") but the model configuration specifies " + std::to_string(whole.size()) + " dimensions (" +
                            (batch_ ? "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor "
                                      "shape, making complete shape "
                                    : "shape ") +
                            shape_text(whole) + ")",
                        right);
    for (size_t i = 0; i < whole.size(); ++i)
      if (spec.dims[i].known() && whole[i] != -1 && whole[i] != spec.dims[i].size)
        return found_.add(field,
                          what + "shape " + shape_text(sizes_of(spec)) + " but the model configuration specifies shape " + shape_text(whole),
                          right);
    if (tensor.reshape && without_ones(tensor.dims) != without_ones(*tensor.reshape))
      found_.add(path + ".reshape", "a request's shape may differ from the model's by dimensions of 1 alone: dims " +
                                        shape_text(tensor.dims) + ", reshape " + shape_text(*tensor.reshape));
  }

  ConfigFindings& found_;
  const ConfiguredModel& model_;
  const bool batch_;
  const char* field_;
};

void check_max_batch(const ServingConfig& config, const ConfiguredModel& model, ConfigFindings& found) {
  if (config.max_batch_size.value_or(0) <= 0) return;
  if (!model.signature.batched)
    found.add("max_batch_size",
              "model '" + model.name +
                  "' has no batch dimension: the first dimension of all inputs would have to be one and the same variable size",
              "max_batch_size: 0");
  else if (*config.max_batch_size > model.max_batch)
    found.add("max_batch_size",
              std::to_string(*config.max_batch_size) + " is beyond the server's --max-batch, " + std::to_string(model.max_batch),
              "max_batch_size: " + std::to_string(model.max_batch));
}

// Whether dims were written with the batch in them, as for max_batch_size 0.
bool has_whole_shapes(const ServingConfig& config, const Signature& signature) {
  return std::ranges::any_of(config.inputs, [&](const ConfigTensor& tensor) {
    const auto spec = std::ranges::find(signature.inputs, tensor.name, &TensorSpec::name);
    return spec != signature.inputs.end() && !tensor.reshape && !tensor.dims.empty() && tensor.dims.size() == spec->dims.size() &&
           spec->dims.size() > 1;
  });
}

int64_t max_batch_of(const ServingConfig& config, const ConfiguredModel& model) {
  return config.max_batch_size.value_or(has_whole_shapes(config, model.signature) ? 0 : model.max_batch);
}

void check_against(const ServingConfig& config, const ConfiguredModel& model, ConfigFindings& found) {
  if (!config.name.empty() && config.name != model.name)
    found.add("name",
              "unexpected directory name '" + model.name + "' for model '" + config.name + "', directory name must equal model name",
              "name: \"" + model.name + "\"");
  check_max_batch(config, model, found);
  const bool batch = max_batch_of(config, model) > 0 && model.signature.batched;
  TensorCheck inputs(found, model, batch, "input");
  inputs.check(config.inputs, model.signature.inputs);
  TensorCheck(found, model, batch, "output").check(config.outputs, model.signature.outputs);
  inputs.check_missing(config.inputs, model.signature.inputs);
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

std::vector<ConfigProblem> config_problems(const ServingConfig& config, const ConfiguredModel& model) {
  ConfigFindings found(config);
  check_against(config, model, found);
  ServingConfig sized = config;
  sized.max_batch_size = max_batch_of(config, model);
  if (config.batching && !config.max_batch_size) check_batching(sized, found);
  return found.take();
}

void complete_model_config(ServingConfig& config, const ConfiguredModel& model) {
  ConfigFindings found(config);
  check_against(config, model, found);
  found.refuse_first();
  config.name = model.name;
  config.max_batch_size = max_batch_of(config, model);
  if (config.batching) check_batching(config, found);
  found.refuse_first();
  complete_tensors(config.inputs, model.signature.inputs, *config.max_batch_size > 0);
  complete_tensors(config.outputs, model.signature.outputs, *config.max_batch_size > 0);
  if (config.platform.empty()) config.platform = "tandem_onnx";
  if (config.backend.empty()) config.backend = "tandem";
  if (!config.versions) config.versions.emplace();
  if (config.instances.empty()) config.instances.push_back({model.name, model.lanes, InstanceGroup::Kind::kAuto});
  for (InstanceGroup& group : config.instances) group.count = std::max<int64_t>(1, group.count);
  if (config.default_model_filename.empty()) config.default_model_filename = "model.onnx";
}

}  // namespace tandem
