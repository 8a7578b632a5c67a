#include "serving/load/input_data.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/base/error.h"
#include "serving/protocol/base64.h"

namespace tandem {
namespace {

using nlohmann::json;

const TensorFace& face_of(const ModelFace& model, const std::string& name) {
  const auto found = std::ranges::find(model.inputs, name, &TensorFace::name);
  require(found != model.inputs.end(), "the model has no input of that name", name);
  return *found;
}

std::vector<int64_t> dims_of(const TensorFace& face, const InputChoice& choice, const json& value) {
  if (!value.is_object() || !value.contains("shape")) {
    const Shape shape = shape_of(face, choice);
    return {shape.dims().begin(), shape.dims().end()};
  }
  std::vector<int64_t> dims = value.at("shape");
  if (dims.size() + 1 == face.shape.size() && face.shape[0] == -1) dims.insert(dims.begin(), 1);
  require(dims.size() == face.shape.size(), "a shape has another number of dimensions than the input '" + face.name + "' (has, wants)",
          dims.size(), face.shape.size());
  return dims;
}

std::string bytes_of(const json& base64) {
  const auto bytes = decode_base64(base64.get_ref<const std::string&>());
  require(bytes.has_value(), "'b64' is no base64");
  return *bytes;
}

// As the body of a request, whose reader checks it.
std::vector<InferInput> inputs_of_entry(const ModelFace& model, const InputChoice& choice, const json& entry) {
  json inputs = json::array();
  std::string binary;
  for (const auto& [name, value] : entry.items()) {
    const TensorFace& face = face_of(model, name);
    json input{{"name", name}, {"datatype", face.datatype}, {"shape", dims_of(face, choice, value)}};
    const json& content = value.is_object() && value.contains("content") ? value.at("content") : value;
    if (content.is_object()) {
      const std::string bytes = bytes_of(content.at("b64"));
      input["parameters"]["binary_data_size"] = bytes.size();
      binary += bytes;
    } else {
      input["data"] = content;
    }
    inputs.push_back(std::move(input));
  }
  const std::string head = json{{"inputs", std::move(inputs)}}.dump();
  return parse_infer_request(head + binary, std::to_string(head.size()), Limits{}).inputs;
}

}  // namespace

std::vector<std::vector<InferInput>> inputs_of_data_file(const ModelFace& model, const InputChoice& choice, std::string_view text) {
  std::vector<std::vector<InferInput>> requests;
  const auto add = [&](const json& entry) {
    try {
      requests.push_back(inputs_of_entry(model, choice, entry));
    } catch (const Error& error) {
      fail(error.code(), "request " + std::to_string(requests.size() + 1) + " of the data file: " + error.what());
    }
  };
  try {
    const json root = json::parse(text);
    for (const json& entry : root.at("data"))
      if (entry.is_array())
        std::ranges::for_each(entry, add);
      else
        add(entry);
  } catch (const json::exception& error) {
    fail(ErrorCode::kInvalidArgument, "the data file is not {\"data\": [{\"input\": [...]}, ...]}, at request " + std::to_string(requests.size() + 1), {error.what()});
  }
  require(!requests.empty(), "the data file has no request: \"data\" is empty");
  return requests;
}

}  // namespace tandem
