// Requests over HTTP and what is expected of their answers, as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "serving/conformance/server_under_test.h"
#include "serving/conformance/suite_models.h"

namespace tandem::wire {

using nlohmann::json;
using Rows = std::vector<float>;

template <class... Values>
void expect(bool holds, const std::string& what, const Values&... values) {
  check(holds, ErrorCode::kUnavailable, what, values...);
}

inline std::string infer_path(std::string_view model = kSumModel) { return "/v2/models/" + std::string(model) + "/infer"; }

// Values of INPUT0 and INPUT1, and of the two outputs: whole numbers, exact in every form.
inline Rows input_rows(int which, int64_t rows) {
  Rows values;
  for (int64_t i = 0; i < 4 * rows; ++i) values.push_back(static_cast<float>(which == 0 ? 10 * (i + 1) : i - 2));
  return values;
}
inline Rows output_rows(int which, int64_t rows) {
  Rows values = input_rows(0, rows);
  const Rows other = input_rows(1, rows);
  for (size_t i = 0; i < values.size(); ++i) values[i] += which == 0 ? other[i] : -other[i];
  return values;
}
inline std::string bytes_of(const Rows& rows) {
  return {reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(float)};
}

// A right request to the model kSumModel, to be changed by the cases.
inline json sum_request(int64_t rows = 1) {
  json inputs = json::array();
  for (int i = 0; i < 2; ++i)
    inputs.push_back(
        {{"name", "INPUT" + std::to_string(i)}, {"shape", {rows, 4}}, {"datatype", "FP32"}, {"data", input_rows(i, rows)}});
  return {{"inputs", inputs}};
}

inline std::string begin_of(const std::string& text) { return text.substr(0, 200); }

// The answer's JSON. Throws unless it is a 200 of JSON.
inline json answered(const HttpReply& reply) {
  expect(reply.status == 200, "the status must be 200", reply.status, begin_of(reply.body));
  const std::string length = reply.header("inference-header-content-length");
  return json::parse(length.empty() ? reply.body : reply.body.substr(0, std::stoul(length)));
}

// A fault of the client: 4xx (or the status named), and {"error": "..."}.
inline std::string refused(const HttpReply& reply, int status = 0) {
  const bool right = status ? reply.status == status : reply.status >= 400 && reply.status < 500;
  expect(right, status ? "the status must be " + std::to_string(status) : "the status must be 4xx", reply.status,
         begin_of(reply.body));
  const json body = json::parse(reply.body, nullptr, false);
  const bool well_formed =
      body.is_object() && body.contains("error") && body["error"].is_string() && !body["error"].get<std::string>().empty();
  expect(well_formed, "the body must be {\"error\": \"...\"}", begin_of(reply.body));
  return body["error"];
}

inline json output_named(const json& answer, const std::string& name) {
  for (const json& one : answer.at("outputs"))
    if (one.at("name") == name) return one;
  throw Error(ErrorCode::kUnavailable, "the answer has no output '" + name + "'");
}

inline void expect_sum_output(const json& answer, int which, int64_t rows) {
  const json output = output_named(answer, "OUTPUT" + std::to_string(which));
  expect(output.at("datatype") == "FP32", "the datatype must be FP32", output.at("datatype").dump());
  expect(output.at("shape") == json({rows, 4}), "the shape must be [rows, 4]", output.at("shape").dump());
  expect(output.at("data").get<Rows>() == output_rows(which, rows), "the values must be right", output.at("data").dump());
}

inline void expect_sum(const json& answer, int64_t rows) {
  for (int i = 0; i < 2; ++i) expect_sum_output(answer, i, rows);
}

inline json ask_sum(const ServerUnderTest& server, const json& request) {
  server.need_model(std::string(kSumModel));
  return answered(server.http().post(infer_path(), request.dump()));
}

}  // namespace tandem::wire
