#include "serving/protocol/infer_request.h"

#include <simdjson.h>

#include <array>
#include <charconv>

#include "serving/protocol/datatype.h"
#include "serving/protocol/tensor_json.h"

namespace tandem {
namespace {
namespace dom = simdjson::dom;
using simdjson::SUCCESS;

[[noreturn]] void reject(const std::string& message) { fail(ErrorCode::kInvalidArgument, message); }

// The members of an object that this protocol knows, each at most once. Others are ignored, as peers do.
template <size_t N>
std::array<std::optional<dom::element>, N> members(const dom::object& object, const std::array<std::string_view, N>& names,
                                                   const std::string& where) {
  std::array<std::optional<dom::element>, N> found;
  for (const dom::key_value_pair member : object) {
    for (size_t i = 0; i < N; ++i) {
      if (member.key != names[i]) continue;
      if (found[i]) reject(where + ": '" + std::string(names[i]) + "' stands there twice");
      found[i] = member.value;
    }
  }
  return found;
}

template <class T>
T get(const dom::element& element, const std::string& where, std::string_view wanted) {
  T value;
  if (element.get(value) != SUCCESS) reject(where + " must be " + std::string(wanted));
  return value;
}

dom::object object_of(const dom::element& element, const std::string& where) {
  return get<dom::object>(element, where, "an object");
}
dom::array array_of(const dom::element& element, const std::string& where) { return get<dom::array>(element, where, "an array"); }

int64_t count_of(const dom::element& element, const std::string& where) {
  const auto value = get<uint64_t>(element, where, "a non-negative integer");
  if (value > static_cast<uint64_t>(INT64_MAX)) reject(where + " is out of range");
  return static_cast<int64_t>(value);
}

std::string name_of(const std::optional<dom::element>& element, const std::string& where) {
  if (!element) reject(where + " has no 'name'");
  const auto name = get<std::string_view>(*element, where + ": 'name'", "a string");
  if (name.empty()) reject(where + ": 'name' is empty");
  return std::string(name);
}

Shape shape_of(const dom::element& element, const std::string& where) {
  std::array<int64_t, Shape::kMaxRank> dims{};
  size_t rank = 0;
  for (const dom::element dim : array_of(element, where + ": 'shape'")) {
    if (rank == dims.size()) reject(where + ": 'shape' has more than " + std::to_string(dims.size()) + " dimensions");
    dims[rank++] = count_of(dim, where + ": each dimension of 'shape'");
  }
  try {
    return Shape(std::span<const int64_t>(dims.data(), rank));
  } catch (const Error&) {
    reject(where + ": 'shape' causes total element count to exceed maximum size of " + std::to_string(INT64_MAX));
  }
}

class RequestReader {
 public:
  RequestReader(std::string_view json, std::string_view binary, const Limits& limits)
      : json_bytes_(json.size()), binary_(binary), limits_(limits) {
    if (parser_.allocate(json.size(), static_cast<size_t>(limits.json_depth)) != SUCCESS) reject("request is too large to parse");
    const auto error = parser_.parse(json.data(), json.size()).get(root_);
    if (error == simdjson::DEPTH_ERROR) reject("JSON is nested deeper than " + std::to_string(limits.json_depth) + " levels");
    if (error != SUCCESS) reject("failed to parse the request JSON: " + std::string(simdjson::error_message(error)));
  }

  InferRequest read() {
    InferRequest request;
    const auto [id, parameters, inputs, outputs] =
        members<4>(object_of(root_, "the request"), {"id", "parameters", "inputs", "outputs"}, "the request");
    if (id) request.id = std::string(get<std::string_view>(*id, "'id'", "a string"));
    if (parameters) read_parameters(object_of(*parameters, "'parameters'"), request);
    if (!inputs) reject("the request has no 'inputs'");
    for (const dom::element input : array_of(*inputs, "'inputs'")) read_input(object_of(input, "each of 'inputs'"), request);
    if (!binary_.empty())
      reject("unexpected additional input data for model: " + std::to_string(binary_.size()) + " bytes are left over");
    if (outputs)
      for (const dom::element output : array_of(*outputs, "'outputs'"))
        read_output(object_of(output, "each of 'outputs'"), request);
    return request;
  }

 private:
  void read_parameters(const dom::object& parameters, InferRequest& request) const {
    const std::string where = "request parameters";
    for (const dom::key_value_pair parameter : parameters) {
      if (parameter.key.starts_with("triton_"))
        reject(where + ": keys beginning with 'triton_' are reserved: " + quoted_name(parameter.key));
      if (parameter.key.starts_with("sequence_")) reject(where + ": sequences are not supported: " + quoted_name(parameter.key));
    }
    const auto [binary, timeout, priority] = members<3>(parameters, {"binary_data_output", "timeout", "priority"}, where);
    if (binary) request.binary_output = get<bool>(*binary, where + ": 'binary_data_output'", "true or false");
    if (priority) request.priority = count_of(*priority, where + ": 'priority'");
    // Zero means none, as with peers.
    if (timeout)
      if (const int64_t us = count_of(*timeout, where + ": 'timeout'"); us > 0) request.timeout = std::chrono::microseconds(us);
  }

  void read_input(const dom::object& object, InferRequest& request) {
    if (static_cast<int64_t>(request.inputs.size()) == limits_.request_tensors)
      reject("the request has more than " + std::to_string(limits_.request_tensors) + " inputs");
    const auto [name, shape, datatype, parameters, data] =
        members<5>(object, {"name", "shape", "datatype", "parameters", "data"}, "an input");
    InferInput input{name_of(name, "an input"), {}};
    const std::string where = "input " + quoted_name(input.name);
    for (const InferInput& other : request.inputs)
      if (other.name == input.name) reject(where + " already exists in request");
    if (!shape) reject(where + " has no 'shape'");
    if (!datatype) reject(where + " has no 'datatype'");
    const auto type = get<std::string_view>(*datatype, where + ": 'datatype'", "a string");
    const DType dtype = dtype_of_wire_name(type);
    if (dtype == DType::kUndefined) reject(where + ": unknown datatype " + quoted_name(type));
    const Shape dims = shape_of(*shape, where);
    const std::optional<int64_t> blob =
        parameters ? binary_size(object_of(*parameters, where + ": 'parameters'"), where) : std::nullopt;
    if (blob.has_value() == data.has_value())
      reject(where + ": Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters'");
    input.tensor = blob ? tensor_of_binary(take(*blob, where), dtype, dims, input.name)
                        : tensor_of_json(array_of(*data, where + ": 'data'"), dtype, dims, input.name, json_bytes_);
    request.inputs.push_back(std::move(input));
  }

  std::optional<int64_t> binary_size(const dom::object& parameters, const std::string& where) const {
    const auto [size, region] = members<2>(parameters, {"binary_data_size", "shared_memory_region"}, where);
    if (region) reject(where + ": shared memory is not supported by this server");
    if (!size) return std::nullopt;
    return count_of(*size, where + ": 'binary_data_size'");
  }

  std::string_view take(int64_t bytes, const std::string& where) {
    if (bytes > static_cast<int64_t>(binary_.size()))
      reject("unexpected size for " + where + ", expecting " + std::to_string(bytes - static_cast<int64_t>(binary_.size())) +
             " additional bytes for model");
    const std::string_view blob = binary_.substr(0, static_cast<size_t>(bytes));
    binary_.remove_prefix(blob.size());
    return blob;
  }

  void read_output(const dom::object& object, InferRequest& request) const {
    if (static_cast<int64_t>(request.outputs.size()) == limits_.request_tensors)
      reject("the request has more than " + std::to_string(limits_.request_tensors) + " outputs");
    const auto [name, parameters] = members<2>(object, {"name", "parameters"}, "an output");
    InferOutput output{name_of(name, "an output"), std::nullopt, 0};
    const std::string where = "output " + quoted_name(output.name);
    for (const InferOutput& other : request.outputs)
      if (other.name == output.name) reject(where + " already exists in request");
    if (parameters) {
      const auto [binary, classes, region] = members<3>(object_of(*parameters, where + ": 'parameters'"),
                                                        {"binary_data", "classification", "shared_memory_region"}, where);
      if (region) reject(where + ": shared memory is not supported by this server");
      if (binary) output.binary = get<bool>(*binary, where + ": 'binary_data'", "true or false");
      if (classes) output.classes = count_of(*classes, where + ": 'classification'");
    }
    request.outputs.push_back(std::move(output));
  }

  dom::parser parser_;
  dom::element root_;
  size_t json_bytes_;
  std::string_view binary_;
  const Limits& limits_;
};

}  // namespace

std::string quoted_name(std::string_view name) {
  constexpr size_t kLongest = 128;
  return "'" + std::string(name.substr(0, kLongest)) + (name.size() > kLongest ? "...'" : "'");
}

InferRequest parse_infer_request(std::string_view body, std::optional<std::string_view> json_bytes, const Limits& limits) {
  if (!json_bytes) return RequestReader(body, {}, limits).read();
  size_t length = 0;
  const char* end = json_bytes->data() + json_bytes->size();
  const auto [stop, error] = std::from_chars(json_bytes->data(), end, length);
  if (error != std::errc() || stop != end || length > body.size())
    reject("Inference-Header-Content-Length must be between 0 and the length of the body: " + quoted_name(*json_bytes) + ", " +
           std::to_string(body.size()));
  return RequestReader(body.substr(0, length), body.substr(length), limits).read();
}

}  // namespace tandem
