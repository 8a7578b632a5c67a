#include "serving/protocol/answer_message.h"

#include <google/protobuf/io/coded_stream.h>

#include <vector>

#include "inference_service.pb.h"
#include "serving/protocol/classification.h"
#include "serving/protocol/datatype.h"

namespace tandem {
namespace {

using google::protobuf::io::CodedOutputStream;

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
  if (head.explanation) {
    auto& parameters = *message.mutable_parameters();
    parameters["queue_us"].set_int64_param(head.explanation->queue_us);
    parameters["batch_size"].set_int64_param(head.explanation->batch_size);
    parameters["position"].set_int64_param(head.explanation->position);
    parameters["lane"].set_int64_param(head.explanation->lane);
    parameters["lanes"].set_int64_param(head.explanation->lanes);
  }
  if (head.final_response) (*message.mutable_parameters())["triton_final_response"].set_bool_param(true);
  return message;
}

// The raw contents are the last field of the message, so they can be put behind what protobuf writes of the rest.
class ResponseWriter {
 public:
  ResponseWriter(const InferMessageHead& head, std::span<const AnswerTensor> outputs, const SharedMemory* memory)
      : answers_(outputs.begin(), outputs.end()), message_(head_message(head)) {
    classes_.reserve(answers_.size());
    for (AnswerTensor& answer : answers_) {
      if (answer.classes > 0) answer.view = classes_.emplace_back(classify(answer.view, answer.classes, answer.batched)).view();
      auto& output = *message_.add_outputs();
      output.set_name(std::string(answer.name));
      output.set_datatype(std::string(wire_name(answer.view.dtype)));
      for (int64_t dim : answer.view.shape.dims()) output.add_shape(dim);
      if (answer.region) place(answer, memory, *output.mutable_parameters());
    }
    bytes_ = message_.ByteSizeLong();
    for (const AnswerTensor& answer : answers_) {
      const size_t raw = raw_bytes(answer);
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
      append_varint(out, raw_bytes(answer));
      if (!answer.region) append_binary(out, answer.view);
    }
  }

 private:
  static size_t raw_bytes(const AnswerTensor& answer) { return answer.region ? 0 : binary_bytes(answer.view); }

  template <class Parameters>
  static void place(const AnswerTensor& answer, const SharedMemory* memory, Parameters& parameters) {
    ensure(memory != nullptr, "an output for shared memory, and none");
    write_to_region(answer, *memory);
    parameters["shared_memory_region"].set_string_param(answer.region->region);
    if (answer.region->offset > 0) parameters["shared_memory_offset"].set_int64_param(answer.region->offset);
    parameters["shared_memory_byte_size"].set_int64_param(static_cast<int64_t>(binary_bytes(answer.view)));
  }

  std::vector<AnswerTensor> answers_;
  std::vector<Tensor> classes_;  // owns what classified outputs show
  inference::ModelInferResponse message_;
  size_t bytes_ = 0;
};

}  // namespace

std::string write_infer_message(const InferMessageHead& head, std::span<const AnswerTensor> outputs, const SharedMemory* memory) {
  const ResponseWriter writer(head, outputs, memory);
  std::string bytes;
  bytes.reserve(writer.bytes());
  writer.append_to(bytes);
  return bytes;
}

std::string write_stream_message(const InferMessageHead& head, std::span<const AnswerTensor> outputs, const SharedMemory* memory) {
  const ResponseWriter writer(head, outputs, memory);
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
