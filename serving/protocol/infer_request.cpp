#include "serving/protocol/infer_request.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "serving/protocol/data_arrays.h"
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
  RequestReader(std::string_view json, std::string_view binary, const Limits& limits, const SharedMemory* memory, const std::shared_ptr<std::byte[]>& owner)
      : data_(take_data_arrays(json, static_cast<size_t>(limits.json_depth))), binary_(binary), limits_(limits), memory_(memory), owner_(owner) {
    if (parser_.allocate(data_.envelope.size(), static_cast<size_t>(limits.json_depth)) != SUCCESS) reject("request is too large to parse");
    const auto error = parser_.parse(data_.envelope).get(root_);
    if (error == simdjson::DEPTH_ERROR) reject("JSON is nested deeper than " + std::to_string(limits.json_depth) + " levels (the server's --json-depth)");
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
    const auto [binary, timeout, priority, explain] =
        members<4>(parameters, {"binary_data_output", "timeout", "priority", "explain"}, where);
    if (binary) request.binary_output = get<bool>(*binary, where + ": 'binary_data_output'", "true or false");
    if (explain) request.explain = get<bool>(*explain, where + ": 'explain'", "true or false");
    if (priority) request.priority = count_of(*priority, where + ": 'priority'");
    // Zero means none, as with peers.
    if (timeout)
      if (const int64_t us = count_of(*timeout, where + ": 'timeout'"); us > 0) request.timeout = std::chrono::microseconds(us);
  }

  void read_input(const dom::object& object, InferRequest& request) {
    if (static_cast<int64_t>(request.inputs.size()) == limits_.request_tensors)
      reject("the request has more than " + std::to_string(limits_.request_tensors) + " inputs (the server's --max-tensors)");
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
    const Place place = parameters ? place_of(object_of(*parameters, where + ": 'parameters'"), where) : Place{};
    if (place.binary_bytes.has_value() + place.region.has_value() + data.has_value() != 1)
      reject(where +
             ": Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', "
             "'shared_memory_region' in 'parameters'");
    if (place.region)
      input.tensor = tensor_of_binary(read_region(*place.region, where), dtype, dims, input.name);
    else if (place.binary_bytes)
      input.tensor = tensor_of_binary(take(*place.binary_bytes, where), dtype, dims, input.name, owner_);
    else
      input.tensor = tensor_of_json(data_array(array_of(*data, where + ": 'data'")), dtype, dims, input.name, array_parser_);
    request.inputs.push_back(std::move(input));
  }

  // The text of an array that was taken out, by what stands in its place.
  std::string_view data_array(const dom::array& place) const {
    uint64_t index;
    ensure(place.size() == 1 && place.at(0).get(index) == SUCCESS && index < data_.arrays.size(), "an array of 'data' was not found again");
    return data_.arrays[index];
  }

  // Where the bytes of an input are, if they are not in the JSON.
  struct Place {
    std::optional<int64_t> binary_bytes = {};
    std::optional<RegionRange> region = {};
  };

  Place place_of(const dom::object& parameters, const std::string& where) const {
    const auto [size] = members<1>(parameters, {"binary_data_size"}, where);
    Place place;
    if (size) place.binary_bytes = count_of(*size, where + ": 'binary_data_size'");
    place.region = region_of(parameters, where);
    return place;
  }

  std::optional<RegionRange> region_of(const dom::object& parameters, const std::string& where) const {
    const auto [region, offset, bytes] =
        members<3>(parameters, {"shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"}, where);
    if (!region) return std::nullopt;
    if (!memory_) reject(where + ": shared memory is not allowed by this server (its --allow-client-shm)");
    if (!bytes) reject(where + ": 'shared_memory_region' wants a 'shared_memory_byte_size'");
    return RegionRange{std::string(get<std::string_view>(*region, where + ": 'shared_memory_region'", "a string")),
                       offset ? count_of(*offset, where + ": 'shared_memory_offset'") : 0,
                       count_of(*bytes, where + ": 'shared_memory_byte_size'")};
  }

  // Bytes that stand until the next call.
  std::string_view read_region(const RegionRange& range, const std::string& where) {
    if (range.bytes > limits_.request_bytes)
      reject(where + ": 'shared_memory_byte_size' is larger than the limit of " + std::to_string(limits_.request_bytes) +
             " bytes (the server's --max-body)");
    region_bytes_.resize(static_cast<size_t>(range.bytes));
    memory_->read(range, std::as_writable_bytes(std::span(region_bytes_)));
    return region_bytes_;
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
      reject("the request has more than " + std::to_string(limits_.request_tensors) + " outputs (the server's --max-tensors)");
    const auto [name, parameters] = members<2>(object, {"name", "parameters"}, "an output");
    InferOutput output{name_of(name, "an output"), std::nullopt, 0, {}};
    const std::string where = "output " + quoted_name(output.name);
    for (const InferOutput& other : request.outputs)
      if (other.name == output.name) reject(where + " already exists in request");
    if (parameters) {
      const dom::object given = object_of(*parameters, where + ": 'parameters'");
      const auto [binary, classes] = members<2>(given, {"binary_data", "classification"}, where);
      output.region = region_of(given, where);
      // binary_data says nothing beside a region; tritonclient sends both.
      if (output.region && classes) reject(where + ": shared memory does not go with 'classification'");
      if (binary) output.binary = get<bool>(*binary, where + ": 'binary_data'", "true or false");
      if (classes) output.classes = count_of(*classes, where + ": 'classification'");
    }
    request.outputs.push_back(std::move(output));
  }

  DataArrays data_;
  dom::parser parser_, array_parser_;
  dom::element root_;
  std::string_view binary_;
  const Limits& limits_;
  const SharedMemory* memory_;
  const std::shared_ptr<std::byte[]>& owner_;
  std::string region_bytes_;
};

}  // namespace

std::string quoted_name(std::string_view name) {
  constexpr size_t kLongest = 128;
  size_t length = std::min(name.size(), kLongest);
  while (length > 0 && length < name.size() && (static_cast<unsigned char>(name[length]) & 0xC0) == 0x80) --length;  // no half character
  return "'" + std::string(name.substr(0, length)) + (length < name.size() ? "...'" : "'");
}

InferRequest parse_infer_request(std::string_view body, std::optional<std::string_view> json_bytes, const Limits& limits,
                                 const SharedMemory* memory, const std::shared_ptr<std::byte[]>& owner) {
  if (!json_bytes) return RequestReader(body, {}, limits, memory, owner).read();
  size_t length = 0;
  const char* end = json_bytes->data() + json_bytes->size();
  const auto [stop, error] = std::from_chars(json_bytes->data(), end, length);
  if (error != std::errc() || stop != end || length > body.size())
    reject("Inference-Header-Content-Length must be between 0 and the length of the body: " + quoted_name(*json_bytes) + ", " +
           std::to_string(body.size()));
  return RequestReader(body.substr(0, length), body.substr(length), limits, memory, owner).read();
}

}  // namespace tandem
