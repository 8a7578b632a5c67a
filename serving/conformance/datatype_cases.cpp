// Every datatype in every form: values at the ends of its range come back bit for bit; what does not fit is refused.
#include <array>
#include <cstring>
#include <limits>

#include "serving/conformance/grpc_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;

// Values of one datatype, as JSON and as bytes.
struct Sample {
  json values;
  std::string bytes;
};

template <class T>
Sample numbers(const std::vector<T>& values) {
  return {values, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)}};
}

template <class T>
Sample ends() {
  using Ends = std::numeric_limits<T>;
  return numbers<T>({Ends::lowest(), Ends::max(), 0, 1, 7});
}

std::string le32(size_t number) {
  const auto value = static_cast<uint32_t>(number);
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);  // the wire is little-endian, as are the machines this runs on
  return bytes;
}

Sample texts() {
  Sample sample{json::array(), ""};
  for (const std::string text : {"a", "", "gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80", "\"\\\n\t", "end"}) {
    sample.values.push_back(text);
    sample.bytes += le32(text.size()) + text;
  }
  return sample;
}

Sample sample_of(DType dtype) {
  switch (dtype) {
    case DType::kBool: return {{true, false, true, true, false}, std::string("\1\0\1\1\0", 5)};
    case DType::kU8: return ends<uint8_t>();
    case DType::kU16: return ends<uint16_t>();
    case DType::kU32: return ends<uint32_t>();
    case DType::kU64: return ends<uint64_t>();
    case DType::kI8: return ends<int8_t>();
    case DType::kI16: return ends<int16_t>();
    case DType::kI32: return ends<int32_t>();
    case DType::kI64: return ends<int64_t>();
    case DType::kF32: return ends<float>();
    case DType::kF64: return numbers<double>({std::numeric_limits<double>::lowest(), 0.1, 5e-324, -1, 1.0 / 3});
    case DType::kF16: return {{-2, 0.5, 0, 1, 65504}, std::string("\x00\xc0\x00\x38\x00\x00\x00\x3c\xff\x7b", 10)};
    case DType::kBF16: return {{-2, 0.5, 0, 1, 3}, std::string("\x00\xc0\x00\x3f\x00\x00\x80\x3f\x40\x40", 10)};
    default: return texts();
  }
}

constexpr int kCount = 5;  // values of a sample

std::string wire_text(DType dtype) { return std::string(wire_name(dtype)); }

json echo_request(DType dtype, const json& data) {
  return {{"inputs", {{{"name", "x"}, {"shape", {1, data.size()}}, {"datatype", wire_text(dtype)}, {"data", data}}}}};
}

void echo_json(const ServerUnderTest& server, size_t index) {
  const DType dtype = kEchoTypes[index];
  server.need_model(echo_model(dtype));
  const Sample sample = sample_of(dtype);
  const json answer = answered(server.http().post(infer_path(echo_model(dtype)), echo_request(dtype, sample.values).dump()));
  const json output = output_named(answer, "y");
  expect(output.at("datatype") == wire_text(dtype), "the datatype must be the model's", output.dump());
  expect(output.at("shape") == json({1, kCount}), "the shape must be the input's", output.dump());
  const json& data = output.at("data");  // a float may be written with as few digits as tell it from other floats
  const bool same = dtype == DType::kF32 ? data.get<Rows>() == sample.values.get<Rows>() : data == sample.values;
  expect(same, "the values must come back", data.dump());
}

void echo_binary(const ServerUnderTest& server, size_t index) {
  const DType dtype = kEchoTypes[index];
  server.need_model(echo_model(dtype));
  const Sample sample = sample_of(dtype);
  json request = echo_request(dtype, sample.values);
  request["inputs"][0].erase("data");
  request["inputs"][0]["parameters"] = {{"binary_data_size", sample.bytes.size()}};
  request["outputs"] = {{{"name", "y"}, {"parameters", {{"binary_data", true}}}}};
  const std::string text = request.dump();
  const HttpReply reply = server.http().post(infer_path(echo_model(dtype)), text + sample.bytes,
                                             {{"Inference-Header-Content-Length", std::to_string(text.size())}});
  const size_t size = output_named(answered(reply), "y").at("parameters").at("binary_data_size");
  expect(size == sample.bytes.size() && reply.body.ends_with(sample.bytes), "the bytes must come back");
}

inference::ModelInferRequest echo_message(DType dtype) {
  inference::ModelInferRequest request;
  request.set_model_name(echo_model(dtype));
  auto& input = *request.add_inputs();
  input.set_name("x");
  input.set_datatype(wire_text(dtype));
  input.add_shape(1);
  input.add_shape(kCount);
  return request;
}

bool has_typed_contents(DType dtype) { return dtype != DType::kF16 && dtype != DType::kBF16; }

void fill_typed(inference::InferTensorContents& contents, DType dtype, const json& values) {
  for (const json& one : values) switch (dtype) {
      case DType::kBool: contents.add_bool_contents(one); break;
      case DType::kU8:
      case DType::kU16:
      case DType::kU32: contents.add_uint_contents(one); break;
      case DType::kU64: contents.add_uint64_contents(one); break;
      case DType::kI64: contents.add_int64_contents(one); break;
      case DType::kF32: contents.add_fp32_contents(one); break;
      case DType::kF64: contents.add_fp64_contents(one); break;
      case DType::kString: contents.add_bytes_contents(one.get<std::string>()); break;
      default: contents.add_int_contents(one);
    }
}

// An answer may be typed if the request was, says the protocol.
void expect_echo(const ServerUnderTest& server, DType dtype, const inference::ModelInferRequest& request) {
  server.need_model(echo_model(dtype));
  const auto response = ask<inference::ModelInferResponse>(server, "ModelInfer", request);
  expect(response.outputs_size() == 1 && response.outputs(0).datatype() == wire_text(dtype), "the datatype must be the model's");
  if (response.raw_output_contents_size() == 0 && request.raw_input_contents_size() == 0) {
    inference::InferTensorContents contents;
    fill_typed(contents, dtype, sample_of(dtype).values);
    expect(response.outputs(0).contents().SerializeAsString() == contents.SerializeAsString(), "the values must come back");
    return;
  }
  expect(response.raw_output_contents_size() == 1, "outputs must be raw", response.raw_output_contents_size());
  expect(response.raw_output_contents(0) == sample_of(dtype).bytes, "the bytes must come back");
}

void echo_raw(const ServerUnderTest& server, size_t index) {
  const DType dtype = kEchoTypes[index];
  inference::ModelInferRequest request = echo_message(dtype);
  request.add_raw_input_contents(sample_of(dtype).bytes);
  expect_echo(server, dtype, request);
}

void echo_typed(const ServerUnderTest& server, size_t index) {
  const DType dtype = kEchoTypes[index];
  inference::ModelInferRequest request = echo_message(dtype);
  fill_typed(*request.mutable_inputs(0)->mutable_contents(), dtype, sample_of(dtype).values);
  expect_echo(server, dtype, request);
}

struct Misfit {
  const char* name;
  DType dtype;
  const char* data;
};

const std::array kMisfits = {
    Misfit{"256 as UINT8", DType::kU8, "[256]"},
    Misfit{"-1 as UINT8", DType::kU8, "[-1]"},
    Misfit{"128 as INT8", DType::kI8, "[128]"},
    Misfit{"65536 as UINT16", DType::kU16, "[65536]"},
    Misfit{"-32769 as INT16", DType::kI16, "[-32769]"},
    Misfit{"2^31 as INT32", DType::kI32, "[2147483648]"},
    Misfit{"-1 as UINT32", DType::kU32, "[-1]"},
    Misfit{"2^63 as INT64", DType::kI64, "[9223372036854775808]"},
    Misfit{"2^64 as UINT64", DType::kU64, "[18446744073709551616]"},
    Misfit{"1.5 as INT32", DType::kI32, "[1.5]"},
    Misfit{"2 as BOOL", DType::kBool, "[2]"},
    Misfit{"a number as BYTES", DType::kString, "[1]"},
    Misfit{"a text as INT64", DType::kI64, "[\"1\"]"},
};

void misfit(const ServerUnderTest& server, size_t index) {
  const Misfit& one = kMisfits[index];
  server.need_model(echo_model(one.dtype));
  refused(server.http().post(infer_path(echo_model(one.dtype)), echo_request(one.dtype, json::parse(one.data)).dump()));
}

void add_odd_values(WireCases& cases) {
  WireTopic(cases, "datatypes", Wire::kHttp, "binary_tensor_data")
      .add("BYTES that are no text, as bytes", [](const ServerUnderTest& server, size_t) {
        server.need_model(echo_model(DType::kString));
        const std::string bytes = le32(3) + std::string("\xff\0\1", 3);
        json request = echo_request(DType::kString, {"x"});
        request["inputs"][0].erase("data");
        request["inputs"][0]["parameters"] = {{"binary_data_size", bytes.size()}};
        request["outputs"] = {{{"name", "y"}, {"parameters", {{"binary_data", true}}}}};
        const std::string text = request.dump();
        const HttpReply reply = server.http().post(infer_path(echo_model(DType::kString)), text + bytes,
                                                   {{"Inference-Header-Content-Length", std::to_string(text.size())}});
        answered(reply);
        expect(reply.body.ends_with(bytes), "the bytes must come back");
      });
  WireTopic(cases, "datatypes", Wire::kGrpc)
      .add("NaN, infinities and -0 as FP32, raw", [](const ServerUnderTest& server, size_t) {
        server.need_model(echo_model(DType::kF32));
        using Ends = std::numeric_limits<float>;
        inference::ModelInferRequest request = echo_message(DType::kF32);
        request.add_raw_input_contents(
            bytes_of({Ends::quiet_NaN(), Ends::infinity(), -Ends::infinity(), -0.0F, Ends::denorm_min()}));
        const auto response = ask<inference::ModelInferResponse>(server, "ModelInfer", request);
        expect(output_bytes(response, "y") == request.raw_input_contents(0), "the bits must come back");
      });
}

}  // namespace

void add_datatype_cases(WireCases& cases) {
  WireTopic as_json(cases, "datatypes", Wire::kHttp), as_bytes(cases, "datatypes", Wire::kHttp, "binary_tensor_data");
  WireTopic over_grpc(cases, "datatypes", Wire::kGrpc);
  for (size_t i = 0; i < kEchoTypes.size(); ++i) {
    const std::string name = wire_text(kEchoTypes[i]);
    as_json.add(name + " as JSON", echo_json, i);
    as_bytes.add(name + " as bytes", echo_binary, i);
    over_grpc.add(name + " raw", echo_raw, i);
    if (has_typed_contents(kEchoTypes[i])) over_grpc.add(name + " typed", echo_typed, i);
  }
  for (size_t i = 0; i < kMisfits.size(); ++i) as_json.add(kMisfits[i].name, misfit, i);
  add_odd_values(cases);
}

}  // namespace tandem
