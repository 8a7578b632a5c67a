#include "serving/protocol/generate.h"

#include <simdjson.h>

#include <vector>

#include "kernels/base/error.h"
#include "serving/protocol/json_writer.h"
#include "serving/protocol/tensor_json.h"

namespace tandem {
namespace {

namespace dom = simdjson::dom;

// Of a list, as far as first elements tell; the reader of the elements finds what does not fit.
std::vector<int64_t> natural_shape(dom::element value) {
  std::vector<int64_t> sizes;
  for (dom::array list; value.get(list) == simdjson::SUCCESS && sizes.size() < static_cast<size_t>(Shape::kMaxRank);) {
    sizes.push_back(static_cast<int64_t>(list.size()));
    if (list.size() == 0) break;
    value = list.at(0);
  }
  return sizes;
}

// Brought to the model's rank by dimensions of 1 in front, unless those that are missing at the end are 1.
Shape shape_for(const Dims& dims, std::vector<int64_t> sizes) {
  bool is_column = !sizes.empty();
  for (size_t axis = sizes.size(); axis < dims.size(); ++axis) is_column = is_column && dims[axis] == Dim(1);
  while (!is_column && sizes.size() < dims.size()) sizes.insert(sizes.begin(), 1);
  return Shape(std::span<const int64_t>(sizes));
}

Tensor tensor_of(const dom::element& value, const TensorSpec& spec) {
  const Shape shape = shape_for(spec.dims, natural_shape(value));
  dom::parser parser;
  const std::string text = simdjson::minify(value);
  return tensor_of_json(value.is_array() ? text : "[" + text + "]", spec.dtype, shape, spec.name, parser);
}

bool has_one_of_each(const Signature& signature) { return signature.inputs.size() == 1 && signature.outputs.size() == 1; }

// By its own name before the general one.
std::optional<dom::element> member_for(const dom::object& members, const TensorSpec& spec, bool is_only) {
  dom::element found;
  if (members[spec.name].get(found) == simdjson::SUCCESS) return found;
  if (is_only && members["text_input"].get(found) == simdjson::SUCCESS) return found;
  return std::nullopt;
}

}  // namespace

InferRequest parse_generate_request(std::string_view body, std::string_view model, const Signature& signature, const Limits& limits) {
  dom::parser parser;
  dom::object members;
  require(parser.allocate(body.size(), static_cast<size_t>(limits.json_depth)) == simdjson::SUCCESS, "request is too large to parse");
  require(parser.parse(body.data(), body.size()).get(members) == simdjson::SUCCESS,
          R"(failed to parse the request JSON: expected an object such as {"text_input": "..."})");
  InferRequest request;
  if (dom::element id; members["id"].get(id) == simdjson::SUCCESS) {
    std::string_view text;
    require(id.get(text) == simdjson::SUCCESS, "'id' must be a string");
    request.id = text;
  }
  for (const TensorSpec& spec : signature.inputs) {
    const auto value = member_for(members, spec, has_one_of_each(signature));
    require(value.has_value(), "model " + quoted_name(model) + " wants a member " + quoted_name(spec.name) +
                                   (has_one_of_each(signature) ? " or 'text_input'" : ""));
    request.inputs.push_back({spec.name, tensor_of(*value, spec)});
  }
  return request;
}

std::string generate_response_json(std::string_view model, int64_t version, const std::optional<std::string>& id,
                                   std::span<const AnswerTensor> outputs, const Signature& signature) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  if (id) json.member("id", *id);
  json.member("model_name", model).member("model_version", std::to_string(version));
  const auto write = [&](std::string_view name, const AnswerTensor& output) {
    const bool is_list = output.view.elements() != 1;
    json.key(name);
    if (is_list) json.begin_array();
    write_json_elements(json, output);
    if (is_list) json.end_array();
  };
  for (const AnswerTensor& output : outputs) write(output.name, output);
  if (has_one_of_each(signature) && outputs[0].name != "text_output") write("text_output", outputs[0]);
  json.end_object();
  return text;
}

std::string event_of(std::string_view json) { return "data: " + std::string(json) + "\n\n"; }

}  // namespace tandem
