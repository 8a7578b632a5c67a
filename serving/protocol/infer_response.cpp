#include "serving/protocol/infer_response.h"

#include <cstring>
#include <vector>

#include "models/data/utf8.h"
#include "serving/protocol/classification.h"
#include "serving/protocol/datatype.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/json_writer.h"

namespace tandem {
namespace {

template <class T>
void write_all(JsonWriter& json, ConstTensorView view) {
  for (const T& element : view.as<T>()) json.value(element);
}

// As the f32 of the same value.
template <class T>
void write_halves(JsonWriter& json, ConstTensorView view) {
  for (const T& element : view.as<T>()) json.value(to_float(element));
}

void write_region(JsonWriter& json, const RegionRange& range, size_t bytes) {
  json.key("parameters").begin_object().member("shared_memory_region", range.region);
  if (range.offset > 0) json.member("shared_memory_offset", range.offset);
  json.member("shared_memory_byte_size", bytes).end_object();
}

void write_output(JsonWriter& json, const AnswerTensor& output) {
  json.begin_object().member("name", output.name).member("datatype", wire_name(output.view.dtype));
  json.key("shape").begin_array();
  for (int64_t dim : output.view.shape.dims()) json.value(dim);
  json.end_array();
  if (output.region) {
    write_region(json, *output.region, binary_bytes(output.view));
  } else if (output.binary) {
    json.key("parameters").begin_object().member("binary_data_size", binary_bytes(output.view)).end_object();
  } else {
    json.key("data").begin_array();
    write_json_elements(json, output);
    json.end_array();
  }
  json.end_object();
}

}  // namespace

void write_json_elements(JsonWriter& json, const AnswerTensor& output) {
  const auto reject = [&](std::string_view what) {
    fail(ErrorCode::kInvalidArgument,
         "output " + quoted_name(output.name) + " " + std::string(what) + ": ask for it with binary_data");
  };
  switch (output.view.dtype) {
    case DType::kU16: write_all<uint16_t>(json, output.view); break;
    case DType::kI16: write_all<int16_t>(json, output.view); break;
    case DType::kU32: write_all<uint32_t>(json, output.view); break;
    case DType::kU64: write_all<uint64_t>(json, output.view); break;
    case DType::kF16: write_halves<F16>(json, output.view); break;
    case DType::kBF16: write_halves<BF16>(json, output.view); break;
    case DType::kString:
      for (std::string_view text : output.view.as<std::string_view>())
        if (!is_utf8(text)) reject("holds bytes that are not UTF-8");
      write_all<std::string_view>(json, output.view);
      break;
    default: visit_number_or_bool(output.view.dtype, [&]<class T>() { write_all<T>(json, output.view); });
  }
}

Explanation explain(const RunRecord& run, Clock::TimePoint arrived) {
  const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(run.begun - arrived);
  return {waited.count(), run.batch_rows, run.first_row, run.lane, run.lanes};
}

size_t binary_bytes(ConstTensorView view) {
  if (view.dtype != DType::kString) return view.bytes();
  size_t bytes = 0;
  for (std::string_view text : view.as<std::string_view>()) bytes += sizeof(uint32_t) + text.size();
  return bytes;
}

void append_binary(std::string& out, ConstTensorView view) {
  if (view.dtype != DType::kString) {
    out.append(reinterpret_cast<const char*>(view.data), view.bytes());
    return;
  }
  for (std::string_view text : view.as<std::string_view>()) {
    const auto length = static_cast<uint32_t>(text.size());
    char bytes[sizeof length];
    std::memcpy(bytes, &length, sizeof length);
    out.append(bytes, sizeof bytes).append(text);
  }
}

void write_to_region(const AnswerTensor& output, const SharedMemory& memory) {
  const auto needed = static_cast<int64_t>(binary_bytes(output.view));
  require(needed <= output.region->bytes, "shared memory size specified with the request for output " + quoted_name(output.name) +
                                              " (" + std::to_string(output.region->bytes) + " bytes) should be at least " +
                                              std::to_string(needed) + " bytes to hold the results");
  if (output.view.dtype != DType::kString) return memory.write(*output.region, {output.view.data, static_cast<size_t>(needed)});
  std::string bytes;
  append_binary(bytes, output.view);
  memory.write(*output.region, std::as_bytes(std::span(bytes)));
}

InferResponse write_infer_response(std::string_view model, int64_t version, const std::optional<std::string>& id,
                                   std::span<const AnswerTensor> outputs, const SharedMemory* memory,
                                   const std::optional<Explanation>& explanation) {
  std::vector<Tensor> classes;  // owns what classified outputs show
  std::vector<AnswerTensor> answers(outputs.begin(), outputs.end());
  size_t expected = 256, blobs = 0;
  for (AnswerTensor& answer : answers) {
    if (answer.classes > 0) answer.view = classes.emplace_back(classify(answer.view, answer.classes, answer.batched)).view();
    if (answer.region) {
      ensure(memory != nullptr, "an output for shared memory, and none");
      write_to_region(answer, *memory);
      answer.binary = false;
    }
    if (answer.binary) blobs += binary_bytes(answer.view);
    expected += 128 + (answer.binary || answer.region ? 0 : static_cast<size_t>(answer.view.elements()) * 12);
  }
  InferResponse response;
  response.body.reserve(expected + blobs);
  JsonWriter json(response.body);
  json.begin_object();
  if (id) json.member("id", *id);
  json.member("model_name", model).member("model_version", std::to_string(version));
  if (explanation) {
    json.key("parameters").begin_object().member("queue_us", explanation->queue_us).member("batch_size", explanation->batch_size);
    json.member("position", explanation->position).member("lane", explanation->lane).member("lanes", explanation->lanes).end_object();
  }
  json.key("outputs").begin_array();
  for (const AnswerTensor& answer : answers) write_output(json, answer);
  json.end_array().end_object();
  if (blobs > 0) response.json_bytes = response.body.size();
  for (const AnswerTensor& answer : answers)
    if (answer.binary) append_binary(response.body, answer.view);
  return response;
}

}  // namespace tandem
