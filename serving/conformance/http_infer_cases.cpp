// Inference with JSON tensors: what the core of the protocol says of requests and answers.
#include <algorithm>

#include "serving/conformance/http_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;

// Values in the natural shape: [[a, b, c, d], ...].
json nested(const Rows& values) {
  json rows = json::array();
  for (size_t i = 0; i < values.size(); i += 4)
    rows.push_back(Rows(values.begin() + static_cast<long>(i), values.begin() + static_cast<long>(i) + 4));
  return rows;
}

std::vector<std::string> output_names(const json& answer) {
  std::vector<std::string> names;
  for (const json& one : answer.at("outputs")) names.push_back(one.at("name"));
  return names;
}

json with_outputs(json request, const std::vector<std::string>& names) {
  request["outputs"] = json::array();
  for (const std::string& name : names) request["outputs"].push_back({{"name", name}});
  return request;
}

void add_values(WireTopic& topic) {
  constexpr std::array<size_t, 3> kRows = {1, 2, 8};
  for (const size_t rows : kRows)
    topic.add(
        "a batch of " + std::to_string(rows),
        [](const ServerUnderTest& server, size_t count) {
          const auto rows = static_cast<int64_t>(count);
          expect_sum(ask_sum(server, sum_request(rows)), rows);
        },
        rows);
  topic
      .add("nested data",
           [](const ServerUnderTest& server, size_t) {
             json request = sum_request(3);
             for (int i = 0; i < 2; ++i) request["inputs"][static_cast<size_t>(i)]["data"] = nested(input_rows(i, 3));
             expect_sum(ask_sum(server, request), 3);
           })
      .add("inputs in another order",
           [](const ServerUnderTest& server, size_t) {
             json request = sum_request(2);
             std::swap(request["inputs"][0], request["inputs"][1]);
             expect_sum(ask_sum(server, request), 2);
           })
      .add("numbers in every form JSON has",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(std::string(kSumModel));
             const std::string body =
                 R"({"inputs":[{"name":"INPUT0","shape":[1,4],"datatype":"FP32","data":[10,2e1,30.0,0.4E+2]},)"
                 R"({"name":"INPUT1","shape":[1,4],"datatype":"FP32","data":[-2,-1,-0,1]}]})";
             expect_sum(answered(server.http().post(infer_path(), body)), 1);
           })
      .add("members in another order, and white space",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(std::string(kSumModel));
             const std::string body =
                 "\n{ \"inputs\" :\t[ {\"data\": [10, 20, 30, 40],\r\n "
                 "\"datatype\":\"FP32\",\"shape\":[1,4],\"name\":\"INPUT0\"} , "
                 "{\"shape\":[1,4],\"data\":[-2,-1,0,1],\"name\":\"INPUT1\",\"datatype\":\"FP32\"} ] } \n";
             expect_sum(answered(server.http().post(infer_path(), body)), 1);
           })
      .add("names with escapes", [](const ServerUnderTest& server, size_t) {
        server.need_model(std::string(kSumModel));
        std::string body = sum_request().dump();
        body.replace(body.find("INPUT0"), 6, "\\u0049NPUT0");
        expect_sum(answered(server.http().post(infer_path(), body)), 1);
      });
}

void add_envelope(WireTopic& topic) {
  topic
      .add("the answer names model and version",
           [](const ServerUnderTest& server, size_t) {
             const json answer = ask_sum(server, sum_request());
             expect(answer.at("model_name") == kSumModel, "model_name must be the model's", answer.dump());
             const bool well_formed = !answer.contains("model_version") || answer["model_version"].is_string();
             expect(well_formed, "model_version must be a string", answer.dump());
           })
      .add("the id comes back",
           [](const ServerUnderTest& server, size_t) {
             json request = sum_request();
             request["id"] = "a \"request\" 7 \xc3\xa4";
             expect(ask_sum(server, request).at("id") == request["id"], "id must be the request's");
           })
      .add("it comes as application/json",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(std::string(kSumModel));
             const HttpReply reply = server.http().post(infer_path(), sum_request().dump());
             const std::string type = reply.header("content-type");
             expect(type.starts_with("application/json"), "Content-Type must be application/json", type);
             expect(reply.header("inference-header-content-length").empty(), "there must be no Inference-Header-Content-Length");
           })
      .add("a version in the path", [](const ServerUnderTest& server, size_t) {
        const json answer = ask_sum(server, sum_request());
        if (!answer.contains("model_version") || answer["model_version"] == "") throw Skipped("the server tells no version");
        const std::string version = answer["model_version"];
        const HttpReply reply = server.http().post("/v2/models/oip_sum/versions/" + version + "/infer", sum_request().dump());
        expect(answered(reply).at("model_version") == version, "model_version must be the one asked for");
      });
}

void add_outputs(WireTopic& topic) {
  topic
      .add("all outputs unless some are named",
           [](const ServerUnderTest& server, size_t) {
             expect(output_names(ask_sum(server, sum_request())).size() == 2, "there must be two outputs");
           })
      .add("an output alone",
           [](const ServerUnderTest& server, size_t) {
             const json answer = ask_sum(server, with_outputs(sum_request(2), {"OUTPUT1"}));
             expect(output_names(answer) == std::vector<std::string>{"OUTPUT1"}, "there must be the output asked for",
                    answer.dump());
             expect_sum_output(answer, 1, 2);
           })
      .add("outputs in another order",
           [](const ServerUnderTest& server, size_t) {
             expect_sum(ask_sum(server, with_outputs(sum_request(2), {"OUTPUT1", "OUTPUT0"})), 2);
           })
      .add("an empty list of outputs is all of them", [](const ServerUnderTest& server, size_t) {
        expect(output_names(ask_sum(server, with_outputs(sum_request(), {}))).size() == 2, "there must be two outputs");
      });
}

}  // namespace

void add_http_infer_cases(WireCases& cases) {
  WireTopic topic(cases, "inference", Wire::kHttp);
  add_values(topic);
  add_envelope(topic);
  add_outputs(topic);
}

}  // namespace tandem
