#include "serving/load/load_inputs.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "inference_service.pb.h"
#include "kernels/base/error.h"
#include "kernels/base/philox.h"
#include "serving/load/grpc_call.h"
#include "serving/protocol/datatype.h"
#include "serving/protocol/infer_response.h"
#include "serving/protocol/json_writer.h"

namespace tandem {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& what) { fail(ErrorCode::kUnavailable, "the server's answer is wrong: " + what); }

// JSON of a server, which may be anything.
template <class Read>
auto read_json(std::string_view text, Read read) {
  try {
    return read(json::parse(text));
  } catch (const json::exception& error) {
    refuse(error.what());
  }
}

std::vector<TensorFace> faces_of(const json& list) {
  std::vector<TensorFace> faces;
  for (const json& one : list) faces.push_back({one.at("name"), one.at("datatype"), one.at("shape").get<std::vector<int64_t>>()});
  return faces;
}

template <class List>
std::vector<TensorFace> faces_of_messages(const List& list) {
  std::vector<TensorFace> faces;
  for (const auto& one : list) faces.push_back({one.name(), one.datatype(), {one.shape().begin(), one.shape().end()}});
  return faces;
}

// Of any number type, through the bytes of f32 or whole numbers.
Tensor random_tensor(DType dtype, const Shape& shape, uint64_t seed, uint64_t input) {
  if (dtype == DType::kString) {
    const std::vector<std::string_view> texts(static_cast<size_t>(shape.elements()), "a");
    return Tensor::strings(shape, texts);
  }
  Tensor tensor(dtype, shape);
  uint64_t counter = 0;
  const auto word = [&] { return philox(seed, counter++, input)[0]; };
  const auto fill = [&](auto values, auto next) { std::ranges::generate(values, next); };
  const auto real = [&] { return 2 * unit_float(word()) - 1; };
  switch (dtype) {
    case DType::kF32: fill(tensor.as<float>(), real); break;
    case DType::kF64: fill(tensor.as<double>(), real); break;
    case DType::kF16: fill(tensor.as<F16>(), [&] { return to_f16(real()); }); break;
    case DType::kBF16: fill(tensor.as<BF16>(), [&] { return to_bf16(real()); }); break;
    default: {  // whole numbers, little-endian: 0 or 1
      const std::span<std::byte> bytes(tensor.view().data, tensor.bytes());
      for (size_t at = 0; at < bytes.size(); at += size_of(dtype)) bytes[at] = static_cast<std::byte>(word() & 1);
    }
  }
  return tensor;
}

void write_shape(JsonWriter& writer, const Shape& shape) {
  writer.key("shape").begin_array();
  for (const int64_t dim : shape.dims()) writer.value(dim);
  writer.end_array();
}

std::string binary_body(const std::vector<InferInput>& inputs, size_t& json_bytes) {
  std::string body;
  JsonWriter writer(body);
  writer.begin_object().key("inputs").begin_array();
  for (const InferInput& input : inputs) {
    writer.begin_object().member("name", input.name).member("datatype", wire_name(input.tensor.dtype()));
    write_shape(writer, input.tensor.shape());
    writer.key("parameters")
        .begin_object()
        .member("binary_data_size", binary_bytes(input.tensor.view()))
        .end_object()
        .end_object();
  }
  writer.end_array().key("parameters").begin_object().member("binary_data_output", true).end_object().end_object();
  json_bytes = body.size();
  for (const InferInput& input : inputs) append_binary(body, input.tensor.view());
  return body;
}

// A response has its outputs in the form in which a request has its inputs.
std::string json_body(const std::vector<InferInput>& inputs) {
  std::vector<AnswerTensor> tensors;
  for (const InferInput& input : inputs) tensors.push_back({input.name, input.tensor.view(), false, 0, false, {}});
  const std::string text = write_infer_response("", 1, std::nullopt, tensors).body;
  return R"({"inputs":)" + text.substr(text.find("\"outputs\":") + 10);
}

void check_outputs(const ModelFace& model, const std::vector<std::string>& names) {
  for (const TensorFace& output : model.outputs)
    if (std::ranges::find(names, output.name) == names.end()) refuse("output '" + output.name + "' is missing");
}

size_t bytes_of(const std::string& datatype, const std::vector<int64_t>& shape) {
  size_t bytes = size_of(dtype_of_wire_name(datatype));
  for (const int64_t dim : shape) bytes *= static_cast<size_t>(dim);
  return bytes;
}

}  // namespace

ModelFace ask_http_metadata(const HttpAddress& address, const std::string& model) {
  const HttpAnswer answer = http_exchange(address, http_request(address, "/v2/models/" + model, ""));
  check(answer.status == 200, ErrorCode::kUnavailable, "no metadata of model '" + model + "'", answer.status,
        answer.body.substr(0, 300));
  return read_json(answer.body, [&](const json& root) {
    return ModelFace{model, faces_of(root.at("inputs")), faces_of(root.at("outputs"))};
  });
}

ModelFace ask_grpc_metadata(const std::string& target, const std::string& model) {
  inference::ModelMetadataRequest request;
  request.set_name(model);
  inference::ModelMetadataResponse response;
  if (!response.ParseFromString(grpc_exchange(target, "ModelMetadata", request.SerializeAsString())))
    refuse("no ModelMetadataResponse");
  return {model, faces_of_messages(response.inputs()), faces_of_messages(response.outputs())};
}

Shape shape_of(const TensorFace& face, const InputChoice& choice) {
  std::vector<int64_t> dims = face.shape;
  if (const auto given = choice.shapes.find(face.name); given != choice.shapes.end()) {
    dims = given->second;
  } else if (!dims.empty() && dims[0] == -1) {
    dims[0] = choice.batch;
  }
  require(std::ranges::find(dims, -1) == dims.end(),
          "input '" + face.name + "' has open dimensions: give --shape " + face.name + "=1,...");
  return Shape(std::span<const int64_t>(dims));
}

std::vector<InferInput> random_inputs(const ModelFace& model, const InputChoice& choice) {
  for (const auto& [name, shape] : choice.shapes)
    require(std::ranges::find(model.inputs, name, &TensorFace::name) != model.inputs.end(),
            "the model has no input of that name (--shape)", name);
  std::vector<InferInput> inputs;
  for (const TensorFace& face : model.inputs) {
    const DType dtype = dtype_of_wire_name(face.datatype);
    require(dtype != DType::kUndefined, "input '" + face.name + "' has an unknown datatype", face.datatype);
    inputs.push_back({face.name, random_tensor(dtype, shape_of(face, choice), choice.seed, choice.request * model.inputs.size() + inputs.size())});
  }
  return inputs;
}

std::vector<InferInput> inputs_of_json(std::string_view body) { return parse_infer_request(body, std::nullopt, Limits{}).inputs; }

std::string http_infer_request(const HttpAddress& address, const std::string& model, const std::vector<InferInput>& inputs,
                               TensorForm form) {
  const std::string path = "/v2/models/" + model + "/infer";
  if (form == TensorForm::kJson) return http_request(address, path, json_body(inputs), "Content-Type: application/json\r\n");
  size_t json_bytes = 0;
  const std::string body = binary_body(inputs, json_bytes);
  return http_request(
      address, path, body,
      "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: " + std::to_string(json_bytes) + "\r\n");
}

std::string grpc_infer_request(const std::string& model, const std::vector<InferInput>& inputs) {
  inference::ModelInferRequest request;
  request.set_model_name(model);
  for (const InferInput& input : inputs) {
    auto& one = *request.add_inputs();
    one.set_name(input.name);
    one.set_datatype(std::string(wire_name(input.tensor.dtype())));
    for (const int64_t dim : input.tensor.shape().dims()) one.add_shape(dim);
    append_binary(*request.add_raw_input_contents(), input.tensor.view());
  }
  return request.SerializeAsString();
}

void check_http_answer(const ModelFace& model, const HttpAnswer& answer) {
  check(answer.status == 200, ErrorCode::kUnavailable, "the first request was not answered", answer.status,
        answer.body.substr(0, 300));
  const std::string_view body = answer.body;
  if (answer.json_bytes && *answer.json_bytes > body.size()) refuse("Inference-Header-Content-Length is larger than the body");
  read_json(body.substr(0, answer.json_bytes.value_or(body.size())), [&](const json& root) {
    std::vector<std::string> names;
    size_t binary = answer.json_bytes.value_or(body.size());
    for (const json& output : root.at("outputs")) {
      names.push_back(output.at("name"));
      const std::vector<int64_t> shape = output.at("shape");
      if (output.contains("data")) continue;
      const size_t bytes = output.at("parameters").at("binary_data_size");
      if (output.at("datatype") != "BYTES" && bytes != bytes_of(output.at("datatype"), shape))
        refuse("output '" + names.back() + "' has other bytes than its shape");
      binary += bytes;
    }
    if (binary != body.size()) refuse("the body has other bytes than its outputs");
    check_outputs(model, names);
    return true;
  });
}

void check_grpc_answer(const ModelFace& model, const std::string& answer) {
  inference::ModelInferResponse response;
  if (!response.ParseFromString(answer)) refuse("no ModelInferResponse");
  std::vector<std::string> names;
  for (int i = 0; i < response.outputs_size(); ++i) {
    const auto& output = response.outputs(i);
    names.push_back(output.name());
    if (response.raw_output_contents_size() <= i || output.datatype() == "BYTES") continue;
    if (response.raw_output_contents(i).size() != bytes_of(output.datatype(), {output.shape().begin(), output.shape().end()}))
      refuse("output '" + output.name() + "' has other bytes than its shape");
  }
  check_outputs(model, names);
}

}  // namespace tandem
