// Requests that are wrong: each is the client's fault, answered 4xx with {"error": "..."}, and harms nobody after it.
#include <array>

#include "serving/conformance/http_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;

struct Fault {
  const char* name;
  void (*spoil)(json& request);
};

json& input(json& request, size_t index = 0) { return request["inputs"][index]; }

const std::array kFaults = {
    Fault{"no inputs member", [](json& r) { r.erase("inputs"); }},
    Fault{"inputs that are no list", [](json& r) { r["inputs"] = "INPUT0"; }},
    Fault{"an input is missing", [](json& r) { r["inputs"].erase(1); }},
    Fault{"an input twice", [](json& r) { r["inputs"].push_back(r["inputs"][0]); }},
    Fault{"an unknown input", [](json& r) { input(r)["name"] = "INPUT9"; }},
    Fault{"an input too many",
          [](json& r) {
            r["inputs"].push_back(r["inputs"][0]);
            input(r, 2)["name"] = "INPUT9";
          }},
    Fault{"an input without name", [](json& r) { input(r).erase("name"); }},
    Fault{"an input without shape", [](json& r) { input(r).erase("shape"); }},
    Fault{"an input without datatype", [](json& r) { input(r).erase("datatype"); }},
    Fault{"an input without data", [](json& r) { input(r).erase("data"); }},
    Fault{"an unknown output",
          [](json& r) {
            r["outputs"] = {{{"name", "OUTPUT9"}}};
          }},
    Fault{"an output without name", [](json& r) { r["outputs"] = {json::object()}; }},
    Fault{"another datatype than the model's", [](json& r) { input(r)["datatype"] = "INT64"; }},
    Fault{"an unknown datatype", [](json& r) { input(r)["datatype"] = "FP31"; }},
    Fault{"a datatype that is no string", [](json& r) { input(r)["datatype"] = 32; }},
    Fault{"a width that the model does not take",
          [](json& r) {
            input(r)["shape"] = {1, 5};
            input(r)["data"] = Rows(5);
          }},
    Fault{"a dimension too many",
          [](json& r) {
            input(r)["shape"] = {1, 1, 4};
          }},
    Fault{"a negative dimension",
          [](json& r) {
            input(r)["shape"] = {-1, -4};
          }},
    Fault{"a dimension that is no number",
          [](json& r) {
            input(r)["shape"] = {"1", 4};
          }},
    Fault{"a broken dimension",
          [](json& r) {
            input(r)["shape"] = {0.25, 16};
          }},
    Fault{"a shape that overflows",
          [](json& r) {
            input(r)["shape"] = {4294967296, 4294967296};
          }},
    Fault{"a shape that is no list", [](json& r) { input(r)["shape"] = 4; }},
    Fault{"fewer values than the shape", [](json& r) { input(r)["data"] = Rows(3); }},
    Fault{"more values than the shape", [](json& r) { input(r)["data"] = Rows(5); }},
    Fault{"no values", [](json& r) { input(r)["data"] = json::array(); }},
    Fault{"values that are no list", [](json& r) { input(r)["data"] = "1,2,3,4"; }},
    Fault{"a text among numbers", [](json& r) { input(r)["data"][2] = "three"; }},
    Fault{"a null among numbers", [](json& r) { input(r)["data"][2] = nullptr; }},
    Fault{"an object among numbers", [](json& r) { input(r)["data"][2] = json::object(); }},
    Fault{"inputs of different batches",
          [](json& r) {
            input(r)["shape"] = {2, 4};
            input(r)["data"] = Rows(8);
          }},
    Fault{"an id that is no string", [](json& r) { r["id"] = 7; }},
    Fault{"parameters that are no object", [](json& r) { r["parameters"] = {1}; }},
};

struct Body {
  const char* name;
  std::string (*text)();
};

const std::array kBodies = {
    Body{"an empty body", [] { return std::string(); }},
    Body{"half a body", [] { return sum_request().dump().substr(0, 60); }},
    Body{"something behind the body", [] { return sum_request().dump() + "}"; }},
    Body{"a list", [] { return std::string("[]"); }},
    Body{"a number out of range",
         [] { return std::string(R"({"inputs":[{"name":"INPUT0","shape":[1,4],"datatype":"FP32","data":[1e999,0,0,0]}]})"); }},
    Body{"UTF-8 that is none", [] { return std::string("{\"id\":\"\xff\xfe\",\"inputs\":[]}"); }},
    Body{"100,000 brackets", [] { return std::string(100'000, '['); }},
};

// What is no request of the protocol has no form of error in it either.
void expect_4xx(const HttpReply& reply) {
  expect(reply.status >= 400 && reply.status < 500, "the status must be 4xx", reply.status);
}

// The fault itself, and a right request after it.
void send_wrong(const ServerUnderTest& server, const std::string& body) {
  server.need_model(std::string(kSumModel));
  refused(server.http().post(infer_path(), body));
  expect_sum(answered(server.http().post(infer_path(), sum_request().dump())), 1);
}

}  // namespace

void add_http_fault_cases(WireCases& cases) {
  WireTopic topic(cases, "faults", Wire::kHttp);
  for (size_t i = 0; i < kBodies.size(); ++i)
    topic.add(
        kBodies[i].name, [](const ServerUnderTest& server, size_t index) { send_wrong(server, kBodies[index].text()); }, i);
  for (size_t i = 0; i < kFaults.size(); ++i)
    topic.add(
        kFaults[i].name,
        [](const ServerUnderTest& server, size_t index) {
          json request = sum_request();
          kFaults[index].spoil(request);
          send_wrong(server, request.dump());
        },
        i);
  topic
      .add("an unknown model", [](const ServerUnderTest& server,
                                  size_t) { refused(server.http().post(infer_path("oip_none"), sum_request().dump())); })
      .add("an unknown version",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(std::string(kSumModel));
             refused(server.http().post("/v2/models/oip_sum/versions/999/infer", sum_request().dump()));
           })
      .add("an unknown path", [](const ServerUnderTest& server,
                                 size_t) { expect(server.http().get("/v2/nothing").status == 404, "the status must be 404"); })
      .add("a model outside the repository",
           [](const ServerUnderTest& server, size_t) { expect_4xx(server.http().get("/v2/models/..%2f..%2fetc%2fpasswd")); })
      .add("GET where POST is meant",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(std::string(kSumModel));
             expect_4xx(server.http().get(infer_path()));
           })
      .add("POST where GET is meant",
           [](const ServerUnderTest& server, size_t) { expect_4xx(server.http().post("/v2/health/live", "{}")); });
}

}  // namespace tandem
