// The binary tensor extension: JSON, and behind it the bytes of tensors, both ways.
#include <array>

#include "serving/conformance/http_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;

const std::string kHeader = "Inference-Header-Content-Length";

// A request whose inputs are all binary.
json binary_request(int64_t rows) {
  json request = sum_request(rows);
  for (json& input : request["inputs"]) {
    input.erase("data");
    input["parameters"] = {{"binary_data_size", 16 * rows}};
  }
  return request;
}

std::string blobs(int64_t rows) { return bytes_of(input_rows(0, rows)) + bytes_of(input_rows(1, rows)); }

HttpReply send(const ServerUnderTest& server, const json& request, const std::string& bytes,
               const std::string& header = kHeader) {
  server.need_model(std::string(kSumModel));
  const std::string text = request.dump();
  return server.http().post(infer_path(), text + bytes, {{header, std::to_string(text.size())}});
}

// The outputs named must be binary, in this order behind the JSON, with the right values.
void expect_binary(const HttpReply& reply, const std::vector<int>& which, int64_t rows) {
  const json answer = answered(reply);
  const std::string type = reply.header("content-type");
  expect(type.starts_with("application/octet-stream"), "Content-Type must be application/octet-stream", type);
  size_t at = std::stoul("0" + reply.header("inference-header-content-length"));
  expect(at > 0, "there must be an " + kHeader);
  for (const int one : which) {
    const json output = output_named(answer, "OUTPUT" + std::to_string(one));
    expect(!output.contains("data"), "a binary output must have no data", output.dump());
    const size_t size = output.at("parameters").at("binary_data_size");
    expect(reply.body.size() >= at + size && reply.body.substr(at, size) == bytes_of(output_rows(one, rows)),
           "the bytes of the output must be right");
    at += size;
  }
  expect(at == reply.body.size(), "nothing may lie behind the last output", reply.body.size() - at);
}

json asked_binary(json request, const std::vector<std::pair<std::string, bool>>& outputs) {
  for (const auto& [name, binary] : outputs)
    request["outputs"].push_back({{"name", name}, {"parameters", {{"binary_data", binary}}}});
  return request;
}

void add_right(WireTopic& topic) {
  topic
      .add("inputs as bytes, outputs as JSON",
           [](const ServerUnderTest& server, size_t) { expect_sum(answered(send(server, binary_request(2), blobs(2))), 2); })
      .add("the header's name in lower case",
           [](const ServerUnderTest& server, size_t) {
             expect_sum(answered(send(server, binary_request(1), blobs(1), "inference-header-content-length")), 1);
           })
      .add("binary_data_output: all outputs as bytes",
           [](const ServerUnderTest& server, size_t) {
             json request = binary_request(3);
             request["parameters"] = {{"binary_data_output", true}};
             expect_binary(send(server, request, blobs(3)), {0, 1}, 3);
           })
      .add("binary_data: an output as bytes",
           [](const ServerUnderTest& server, size_t) {
             expect_binary(send(server, asked_binary(binary_request(2), {{"OUTPUT1", true}}), blobs(2)), {1}, 2);
           })
      .add("one output as bytes, one as JSON",
           [](const ServerUnderTest& server, size_t) {
             const HttpReply reply =
                 send(server, asked_binary(binary_request(2), {{"OUTPUT0", false}, {"OUTPUT1", true}}), blobs(2));
             expect_binary(reply, {1}, 2);
             expect_sum_output(answered(reply), 0, 2);
           })
      .add("one input as bytes, one as JSON",
           [](const ServerUnderTest& server, size_t) {
             json request = sum_request(2);
             request["inputs"][0] = binary_request(2)["inputs"][0];
             expect_sum(answered(send(server, request, bytes_of(input_rows(0, 2)))), 2);
           })
      .add("JSON inputs, outputs as bytes",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(std::string(kSumModel));
             json request = sum_request(2);
             request["parameters"] = {{"binary_data_output", true}};
             expect_binary(server.http().post(infer_path(), request.dump()), {0, 1}, 2);
           })
      .add("a megabyte", [](const ServerUnderTest& server, size_t) {
        server.need_model(echo_model(DType::kU8));
        const std::string bytes(1 << 20, '\x5a');
        const json request = {{"inputs",
                               {{{"name", "x"},
                                 {"shape", {16, bytes.size() / 16}},
                                 {"datatype", "UINT8"},
                                 {"parameters", {{"binary_data_size", bytes.size()}}}}}},
                              {"parameters", {{"binary_data_output", true}}}};
        const std::string text = request.dump();
        const HttpReply reply =
            server.http().post(infer_path(echo_model(DType::kU8)), text + bytes, {{kHeader, std::to_string(text.size())}});
        answered(reply);
        expect(reply.body.ends_with(bytes), "the bytes must come back");
      });
}

struct Fault {
  const char* name;
  const char* header;  // "": the JSON's length
  void (*spoil)(json& request, std::string& bytes);
};

const std::array kFaults = {
    Fault{"fewer bytes than binary_data_size", "", [](json&, std::string& bytes) { bytes.resize(30); }},
    Fault{"bytes behind the last input", "", [](json&, std::string& bytes) { bytes += "more"; }},
    Fault{"binary_data_size that is not the shape's", "",
          [](json& r, std::string& bytes) {
            r["inputs"][0]["parameters"]["binary_data_size"] = 12;
            bytes.resize(28);
          }},
    Fault{"binary_data_size that is negative", "",
          [](json& r, std::string&) { r["inputs"][0]["parameters"]["binary_data_size"] = -16; }},
    Fault{"binary_data_size that is no number", "",
          [](json& r, std::string&) { r["inputs"][0]["parameters"]["binary_data_size"] = "16"; }},
    Fault{"data and binary_data_size", "", [](json& r, std::string&) { r["inputs"][0]["data"] = Rows(4); }},
    Fault{"a header length beyond the body", "100000", [](json&, std::string&) {}},
    Fault{"a header length that is negative", "-1", [](json&, std::string&) {}},
    Fault{"a header length that is no number", "ten", [](json&, std::string&) {}},
    Fault{"a header length within the JSON", "20", [](json&, std::string&) {}},
};

}  // namespace

void add_binary_cases(WireCases& cases) {
  WireTopic topic(cases, "binary tensors", Wire::kHttp, "binary_tensor_data");
  add_right(topic);
  for (size_t i = 0; i < kFaults.size(); ++i)
    topic.add(
        kFaults[i].name,
        [](const ServerUnderTest& server, size_t index) {
          server.need_model(std::string(kSumModel));
          json request = binary_request(1);
          std::string bytes = blobs(1);
          kFaults[index].spoil(request, bytes);
          const std::string text = request.dump(), header = kFaults[index].header;
          refused(
              server.http().post(infer_path(), text + bytes, {{kHeader, header.empty() ? std::to_string(text.size()) : header}}));
        },
        i);
}

}  // namespace tandem
