#include "serving/protocol/infer_message.h"

#include <limits>

#include "inference_service.pb.h"
#include "serving/protocol/datatype.h"
#include "serving/protocol/tensor_json.h"

namespace tandem {
namespace {

using inference::InferParameter;
using inference::InferTensorContents;
using Input = inference::ModelInferRequest::InferInputTensor;
using MessagePtr = std::shared_ptr<inference::ModelInferRequest>;

struct Context {
  const Limits& limits;
  const SharedMemory* memory;
};

[[noreturn]] void reject(const std::string& message) { fail(ErrorCode::kInvalidArgument, message); }

int64_t count_of(const InferParameter& parameter, const std::string& where) {
  if (parameter.has_int64_param() && parameter.int64_param() >= 0) return parameter.int64_param();
  if (parameter.has_uint64_param() && parameter.uint64_param() <= static_cast<uint64_t>(INT64_MAX))
    return static_cast<int64_t>(parameter.uint64_param());
  reject(where + " must be a non-negative integer: int64_param or uint64_param");
}

void read_parameters(const inference::ModelInferRequest& message, InferRequest& request) {
  for (const auto& [key, value] : message.parameters()) {
    const std::string where = "request parameters: " + quoted_name(key);
    if (key.starts_with("triton_") && key != "triton_enable_empty_final_response")
      reject("request parameters: keys beginning with 'triton_' are reserved: " + quoted_name(key));
    // Clients name 0, "" and false for requests that belong to no sequence.
    if (key.starts_with("sequence_") && (value.bool_param() || value.int64_param() != 0 || !value.string_param().empty()))
      reject("request parameters: sequences are not supported: " + quoted_name(key));
    if (key == "priority") request.priority = count_of(value, where);
    if (key == "timeout")
      if (const int64_t us = count_of(value, where); us > 0) request.timeout = std::chrono::microseconds(us);
    if (key == "explain") {
      if (!value.has_bool_param()) reject(where + " must be a bool_param");
      request.explain = value.bool_param();
    }
  }
}

Shape shape_of(const Input& input, const std::string& where) {
  for (int64_t dim : input.shape())
    if (dim < 0) reject(where + ": each dimension of 'shape' must be a non-negative integer");
  if (input.shape_size() > Shape::kMaxRank)
    reject(where + ": 'shape' has more than " + std::to_string(Shape::kMaxRank) + " dimensions");
  try {
    return Shape(std::span<const int64_t>(input.shape().data(), static_cast<size_t>(input.shape_size())));
  } catch (const Error&) {
    reject(where + ": 'shape' causes total element count to exceed maximum size of " + std::to_string(INT64_MAX));
  }
}

// Numbers stay where they are, unless they are not aligned there.
Tensor tensor_of_raw(const MessagePtr& message, std::string& raw, DType dtype, const Shape& shape, const std::string& name) {
  return tensor_of_binary(raw, dtype, shape, name, std::shared_ptr<std::byte[]>(message, reinterpret_cast<std::byte*>(raw.data())));
}

// The elements of one typed field, each within the range of the datatype.
template <class T, class Field>
Tensor tensor_of_field(const Field& field, DType dtype, const Shape& shape, const std::string& where) {
  if (static_cast<int64_t>(field.size()) != shape.elements())
    reject(where + ": Shape does not match true shape of 'contents' field: expected " + std::to_string(shape.elements()) +
           " elements for shape " + to_string(shape) + ", got " + std::to_string(field.size()));
  Tensor tensor(dtype, shape);
  T* out = tensor.as<T>().data();
  for (const auto element : field) {
    using Element = std::decay_t<decltype(element)>;
    if constexpr (sizeof(T) < sizeof(Element))
      if (element < static_cast<Element>(std::numeric_limits<T>::lowest()) || element > static_cast<Element>(std::numeric_limits<T>::max()))
        reject(where + ": 'contents' element " + std::to_string(out - tensor.as<T>().data()) + " is not an integer in range (datatype " +
               std::string(wire_name(dtype)) + ")");
    *out++ = static_cast<T>(element);
  }
  return tensor;
}

Tensor strings_of_field(const InferTensorContents& contents, const Shape& shape, const std::string& where) {
  if (contents.bytes_contents_size() != shape.elements())
    reject(where + ": Shape does not match true shape of 'contents' field: expected " + std::to_string(shape.elements()) +
           " elements for shape " + to_string(shape) + ", got " + std::to_string(contents.bytes_contents_size()));
  const std::vector<std::string_view> texts(contents.bytes_contents().begin(), contents.bytes_contents().end());
  return Tensor::strings(shape, texts);
}

// The field that a datatype has its elements in.
std::string_view field_of(DType dtype) {
  switch (dtype) {
    case DType::kBool: return "bool_contents";
    case DType::kU8:
    case DType::kU16:
    case DType::kU32: return "uint_contents";
    case DType::kU64: return "uint64_contents";
    case DType::kI8:
    case DType::kI16:
    case DType::kI32: return "int_contents";
    case DType::kI64: return "int64_contents";
    case DType::kF32: return "fp32_contents";
    case DType::kF64: return "fp64_contents";
    case DType::kString: return "bytes_contents";
    default: return "";
  }
}

void check_fields(const InferTensorContents& contents, DType dtype, const std::string& where) {
  const std::string_view wanted = field_of(dtype);
  if (wanted.empty()) reject(where + ": datatype " + std::string(wire_name(dtype)) + " has no typed contents; send it in raw_input_contents");
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  contents.GetReflection()->ListFields(contents, &fields);
  for (const auto* field : fields)
    if (field->name() != wanted)
      reject(where + ": datatype " + std::string(wire_name(dtype)) + " has its elements in '" + std::string(wanted) + "', not in '" +
             field->name() + "'");
}

Tensor tensor_of_contents(const InferTensorContents& contents, DType dtype, const Shape& shape, const std::string& where) {
  check_fields(contents, dtype, where);
  switch (dtype) {
    case DType::kBool: return tensor_of_field<bool>(contents.bool_contents(), dtype, shape, where);
    case DType::kU8: return tensor_of_field<uint8_t>(contents.uint_contents(), dtype, shape, where);
    case DType::kU16: return tensor_of_field<uint16_t>(contents.uint_contents(), dtype, shape, where);
    case DType::kU32: return tensor_of_field<uint32_t>(contents.uint_contents(), dtype, shape, where);
    case DType::kU64: return tensor_of_field<uint64_t>(contents.uint64_contents(), dtype, shape, where);
    case DType::kI8: return tensor_of_field<int8_t>(contents.int_contents(), dtype, shape, where);
    case DType::kI16: return tensor_of_field<int16_t>(contents.int_contents(), dtype, shape, where);
    case DType::kI32: return tensor_of_field<int32_t>(contents.int_contents(), dtype, shape, where);
    case DType::kI64: return tensor_of_field<int64_t>(contents.int64_contents(), dtype, shape, where);
    case DType::kF32: return tensor_of_field<float>(contents.fp32_contents(), dtype, shape, where);
    case DType::kF64: return tensor_of_field<double>(contents.fp64_contents(), dtype, shape, where);
    default: return strings_of_field(contents, shape, where);
  }
}

// A part of a registered region, if the parameters name one.
template <class Parameters>
std::optional<RegionRange> region_of(const Parameters& parameters, const SharedMemory* memory, const std::string& where) {
  const auto region = parameters.find("shared_memory_region");
  if (region == parameters.end()) return std::nullopt;
  if (!memory) reject(where + ": shared memory is not allowed by this server (its --allow-client-shm)");
  if (!region->second.has_string_param()) reject(where + ": 'shared_memory_region' must be a string_param");
  const auto number = [&](const char* name) -> std::optional<int64_t> {
    const auto found = parameters.find(name);
    if (found == parameters.end()) return std::nullopt;
    return count_of(found->second, where + ": '" + name + "'");
  };
  const auto bytes = number("shared_memory_byte_size");
  if (!bytes) reject(where + ": 'shared_memory_region' wants a 'shared_memory_byte_size'");
  return RegionRange{region->second.string_param(), number("shared_memory_offset").value_or(0), *bytes};
}

Tensor tensor_of_region(const RegionRange& range, DType dtype, const Shape& shape, const Input& input, const Context& context) {
  if (range.bytes > context.limits.request_bytes)
    reject("input " + quoted_name(input.name()) + ": 'shared_memory_byte_size' is larger than the limit of " +
           std::to_string(context.limits.request_bytes) + " bytes (the server's --max-body)");
  std::string bytes(static_cast<size_t>(range.bytes), '\0');
  context.memory->read(range, std::as_writable_bytes(std::span(bytes)));
  return tensor_of_binary(bytes, dtype, shape, input.name());
}

// Inputs that are not in shared memory have their bytes in raw_input_contents, one entry each, in their order; or none has.
class InputReader {
 public:
  InputReader(const MessagePtr& message, const Context& context) : message_(message), context_(context) {}

  void read(InferRequest& request) {
    const auto& inputs = message_->inputs();
    if (inputs.size() > context_.limits.request_tensors)
      reject("the request has more than " + std::to_string(context_.limits.request_tensors) + " inputs (the server's --max-tensors)");
    for (const Input& input : inputs) request.inputs.push_back({input.name(), read_input(input, request)});
    const auto& raw = message_->raw_input_contents();
    if (!raw.empty() && raw.size() != taken_)
      reject("expected " + std::to_string(taken_) + " entries of raw_input_contents, one for each input, got " +
             std::to_string(raw.size()));
  }

 private:
  Tensor read_input(const Input& input, const InferRequest& request) {
    const std::string where = "input " + quoted_name(input.name());
    if (input.name().empty()) reject("an input has no 'name'");
    for (const InferInput& other : request.inputs)
      if (other.name == input.name()) reject(where + " already exists in request");
    const DType dtype = dtype_of_wire_name(input.datatype());
    if (dtype == DType::kUndefined) reject(where + ": unknown datatype " + quoted_name(input.datatype()));
    const auto region = region_of(input.parameters(), context_.memory, where);
    const bool is_raw = !message_->raw_input_contents().empty();
    if ((is_raw || region) && input.has_contents())
      reject("contents field must not be specified when using " + std::string(region ? "shared memory" : "raw_input_contents") +
             " for " + where);
    const Shape shape = shape_of(input, where);
    if (region) return tensor_of_region(*region, dtype, shape, input, context_);
    const int own = taken_++;
    if (!is_raw) return tensor_of_contents(input.contents(), dtype, shape, where);
    auto& raw = *message_->mutable_raw_input_contents();
    if (own >= raw.size())
      reject("expected an entry of raw_input_contents for each input, got " + std::to_string(raw.size()));
    return tensor_of_raw(message_, raw[own], dtype, shape, input.name());
  }

  MessagePtr message_;
  const Context& context_;
  int taken_ = 0;  // inputs that are not in shared memory
};

void read_outputs(const inference::ModelInferRequest& message, InferRequest& request, const Context& context) {
  if (message.outputs_size() > context.limits.request_tensors)
    reject("the request has more than " + std::to_string(context.limits.request_tensors) + " outputs (the server's --max-tensors)");
  for (const auto& asked : message.outputs()) {
    const std::string where = "output " + quoted_name(asked.name());
    InferOutput output{asked.name(), true, 0, {}};
    if (asked.name().empty()) reject("an output has no 'name'");
    for (const InferOutput& other : request.outputs)
      if (other.name == asked.name()) reject(where + " already exists in request");
    output.region = region_of(asked.parameters(), context.memory, where);
    if (const auto classes = asked.parameters().find("classification"); classes != asked.parameters().end()) {
      if (output.region) reject(where + ": shared memory does not go with 'classification'");
      output.classes = count_of(classes->second, where + ": 'classification'");
    }
    request.outputs.push_back(std::move(output));
  }
}

}  // namespace

InferRequest read_infer_message(const MessagePtr& message, const Limits& limits, const SharedMemory* memory) {
  const Context context{limits, memory};
  InferRequest request;
  request.binary_output = true;
  if (!message->id().empty()) request.id = message->id();
  read_parameters(*message, request);
  InputReader(message, context).read(request);
  read_outputs(*message, request, context);
  return request;
}

}  // namespace tandem
