#include "serving/protocol/infer_message.h"

#include <google/protobuf/io/coded_stream.h>

#include <limits>

#include "inference_service.pb.h"
#include "serving/protocol/classification.h"
#include "serving/protocol/datatype.h"
#include "serving/protocol/tensor_json.h"

namespace tandem {
namespace {

using google::protobuf::io::CodedOutputStream;
using inference::InferParameter;
using inference::InferTensorContents;
using Input = inference::ModelInferRequest::InferInputTensor;
using MessagePtr = std::shared_ptr<inference::ModelInferRequest>;

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
  const size_t size = size_of(dtype);
  const bool fits = dtype != DType::kString && raw.size() / size == static_cast<size_t>(shape.elements()) && raw.size() % size == 0;
  const bool in_place = fits && dtype != DType::kBool && !raw.empty() && reinterpret_cast<uintptr_t>(raw.data()) % size == 0;
  if (!in_place) return tensor_of_binary(raw, dtype, shape, name);
  return Tensor::over(std::shared_ptr<std::byte[]>(message, reinterpret_cast<std::byte*>(raw.data())), dtype, shape);
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

void read_inputs(const MessagePtr& message, InferRequest& request, const Limits& limits) {
  auto& inputs = *message->mutable_inputs();
  auto& raw = *message->mutable_raw_input_contents();
  if (inputs.size() > limits.request_tensors) reject("the request has more than " + std::to_string(limits.request_tensors) + " inputs");
  if (!raw.empty() && raw.size() != inputs.size())
    reject("expected " + std::to_string(inputs.size()) + " entries of raw_input_contents, one for each input, got " + std::to_string(raw.size()));
  for (int i = 0; i < inputs.size(); ++i) {
    const Input& input = inputs[i];
    const std::string where = "input " + quoted_name(input.name());
    if (input.name().empty()) reject("an input has no 'name'");
    for (const InferInput& other : request.inputs)
      if (other.name == input.name()) reject(where + " already exists in request");
    const DType dtype = dtype_of_wire_name(input.datatype());
    if (dtype == DType::kUndefined) reject(where + ": unknown datatype " + quoted_name(input.datatype()));
    if (input.parameters().contains("shared_memory_region")) reject(where + ": shared memory is not supported over gRPC");
    if (!raw.empty() && input.has_contents())
      reject("contents field must not be specified when using raw_input_contents for " + where);
    const Shape shape = shape_of(input, where);
    request.inputs.push_back({input.name(), raw.empty() ? tensor_of_contents(input.contents(), dtype, shape, where)
                                                        : tensor_of_raw(message, raw[i], dtype, shape, input.name())});
  }
}

void read_outputs(const inference::ModelInferRequest& message, InferRequest& request, const Limits& limits) {
  if (message.outputs_size() > limits.request_tensors)
    reject("the request has more than " + std::to_string(limits.request_tensors) + " outputs");
  for (const auto& asked : message.outputs()) {
    const std::string where = "output " + quoted_name(asked.name());
    InferOutput output{asked.name(), true, 0, {}};
    if (asked.name().empty()) reject("an output has no 'name'");
    for (const InferOutput& other : request.outputs)
      if (other.name == asked.name()) reject(where + " already exists in request");
    if (asked.parameters().contains("shared_memory_region")) reject(where + ": shared memory is not supported over gRPC");
    if (const auto classes = asked.parameters().find("classification"); classes != asked.parameters().end())
      output.classes = count_of(classes->second, where + ": 'classification'");
    request.outputs.push_back(std::move(output));
  }
}

constexpr uint32_t kRawOutputTag = (inference::ModelInferResponse::kRawOutputContentsFieldNumber << 3) | 2;
constexpr uint32_t kStreamResponseTag = (inference::ModelStreamInferResponse::kInferResponseFieldNumber << 3) | 2;

void append_varint(std::string& out, uint64_t number) {
  uint8_t bytes[10];
  const uint8_t* end = CodedOutputStream::WriteVarint64ToArray(number, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(end - bytes));
}

inference::ModelInferResponse head_message(const InferMessageHead& head) {
  inference::ModelInferResponse message;
  message.set_model_name(std::string(head.model));
  if (head.version > 0) message.set_model_version(std::to_string(head.version));
  message.set_id(std::string(head.id));
  if (head.final_response) (*message.mutable_parameters())["triton_final_response"].set_bool_param(true);
  return message;
}

// The raw contents are the last field of the message, so they can be put behind what protobuf writes of the rest.
class ResponseWriter {
 public:
  ResponseWriter(const InferMessageHead& head, std::span<const AnswerTensor> outputs)
      : answers_(outputs.begin(), outputs.end()), message_(head_message(head)) {
    classes_.reserve(answers_.size());
    for (AnswerTensor& answer : answers_) {
      if (answer.classes > 0) answer.view = classes_.emplace_back(classify(answer.view, answer.classes, answer.batched)).view();
      auto& output = *message_.add_outputs();
      output.set_name(std::string(answer.name));
      output.set_datatype(std::string(wire_name(answer.view.dtype)));
      for (int64_t dim : answer.view.shape.dims()) output.add_shape(dim);
    }
    bytes_ = message_.ByteSizeLong();
    for (const AnswerTensor& answer : answers_) {
      const size_t raw = binary_bytes(answer.view);
      bytes_ += 1 + CodedOutputStream::VarintSize64(raw) + raw;
    }
    check(bytes_ <= static_cast<size_t>(INT32_MAX), ErrorCode::kInvalidArgument,
          "the response is larger than a gRPC message may be (bytes, most): ask for fewer rows", bytes_, INT32_MAX);
  }

  size_t bytes() const { return bytes_; }
  void append_to(std::string& out) const {
    message_.AppendToString(&out);
    for (const AnswerTensor& answer : answers_) {
      out.push_back(static_cast<char>(kRawOutputTag));
      append_varint(out, binary_bytes(answer.view));
      append_binary(out, answer.view);
    }
  }

 private:
  std::vector<AnswerTensor> answers_;
  std::vector<Tensor> classes_;  // owns what classified outputs show
  inference::ModelInferResponse message_;
  size_t bytes_ = 0;
};

}  // namespace

InferRequest read_infer_message(const MessagePtr& message, const Limits& limits) {
  InferRequest request;
  request.binary_output = true;
  if (!message->id().empty()) request.id = message->id();
  read_parameters(*message, request);
  read_inputs(message, request, limits);
  read_outputs(*message, request, limits);
  return request;
}

std::string write_infer_message(const InferMessageHead& head, std::span<const AnswerTensor> outputs) {
  const ResponseWriter writer(head, outputs);
  std::string bytes;
  bytes.reserve(writer.bytes());
  writer.append_to(bytes);
  return bytes;
}

std::string write_stream_message(const InferMessageHead& head, std::span<const AnswerTensor> outputs) {
  const ResponseWriter writer(head, outputs);
  std::string bytes;
  bytes.reserve(writer.bytes() + 16);
  bytes.push_back(static_cast<char>(kStreamResponseTag));
  append_varint(bytes, writer.bytes());
  writer.append_to(bytes);
  return bytes;
}

std::string write_stream_error(std::string_view error, const InferMessageHead& head) {
  inference::ModelStreamInferResponse message;
  message.set_error_message(std::string(error));
  *message.mutable_infer_response() = head_message(head);
  return message.SerializeAsString();
}

}  // namespace tandem
