// Calls that are wrong, and that each has its status.
#include <array>

#include "serving/conformance/grpc_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;
using Request = inference::ModelInferRequest;

struct Fault {
  const char* name;
  int code;
  void (*spoil)(Request& request);
};

constexpr int kWrong = grpc::INVALID_ARGUMENT, kNone = grpc::NOT_FOUND;

const std::array kFaults = {
    Fault{"an unknown model", kNone, [](Request& r) { r.set_model_name("oip_none"); }},
    Fault{"an unknown version", kNone, [](Request& r) { r.set_model_version("999"); }},
    Fault{"no inputs", kWrong,
          [](Request& r) {
            r.clear_inputs();
            r.clear_raw_input_contents();
          }},
    Fault{"an input is missing", kWrong,
          [](Request& r) {
            r.mutable_inputs()->RemoveLast();
            r.mutable_raw_input_contents()->RemoveLast();
          }},
    Fault{"an unknown input", kWrong, [](Request& r) { r.mutable_inputs(0)->set_name("INPUT9"); }},
    Fault{"an input twice", kWrong, [](Request& r) { r.mutable_inputs(1)->set_name("INPUT0"); }},
    Fault{"an unknown output", kWrong, [](Request& r) { r.add_outputs()->set_name("OUTPUT9"); }},
    Fault{"another datatype than the model's", kWrong, [](Request& r) { r.mutable_inputs(0)->set_datatype("INT32"); }},
    Fault{"an unknown datatype", kWrong, [](Request& r) { r.mutable_inputs(0)->set_datatype("FP31"); }},
    Fault{"a width that the model does not take", kWrong,
          [](Request& r) {
            r.mutable_inputs(0)->set_shape(1, 5);
            r.mutable_raw_input_contents(0)->append(4, '\0');
          }},
    Fault{"a dimension too many", kWrong,
          [](Request& r) {
            r.mutable_inputs(0)->set_shape(1, 1);
            r.mutable_inputs(0)->add_shape(4);
          }},
    Fault{"a negative dimension", kWrong, [](Request& r) { r.mutable_inputs(0)->set_shape(0, -1); }},
    Fault{"a shape that overflows", kWrong,
          [](Request& r) {
            for (int i = 0; i < 2; ++i) r.mutable_inputs(0)->set_shape(i, int64_t{1} << 32);
          }},
    Fault{"fewer bytes than the shape", kWrong, [](Request& r) { r.mutable_raw_input_contents(0)->resize(12); }},
    Fault{"more bytes than the shape", kWrong, [](Request& r) { r.mutable_raw_input_contents(0)->append(4, '\0'); }},
    Fault{"raw contents for one input of two", kWrong, [](Request& r) { r.mutable_raw_input_contents()->RemoveLast(); }},
    Fault{"raw and typed contents", kWrong, [](Request& r) { r.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1); }},
    Fault{"typed contents of another datatype", kWrong,
          [](Request& r) {
            r.clear_raw_input_contents();
            for (int i = 0; i < 4; ++i) r.mutable_inputs(0)->mutable_contents()->add_int64_contents(i);
            for (int i = 0; i < 4; ++i) r.mutable_inputs(1)->mutable_contents()->add_fp32_contents(1);
          }},
    Fault{"fewer typed values than the shape", kWrong,
          [](Request& r) {
            r.clear_raw_input_contents();
            for (int i = 0; i < 2; ++i) r.mutable_inputs(i)->mutable_contents()->add_fp32_contents(1);
          }},
    Fault{"no contents", kWrong, [](Request& r) { r.clear_raw_input_contents(); }},
};

void send_wrong(const ServerUnderTest& server, size_t index) {
  server.need_model(std::string(kSumModel));
  Request request = sum_message();
  kFaults[index].spoil(request);
  refused(server.grpc("ModelInfer", request.SerializeAsString()), kFaults[index].code);
  expect_sum(ask_sum(server, sum_message()), 1);
}

// Over both protocols the fault is the client's.
void same_class(const ServerUnderTest& server, size_t) {
  json request = sum_request();
  request["inputs"][0]["datatype"] = "INT32";
  server.need_model(std::string(kSumModel));
  refused(server.http().post(infer_path(), request.dump()));
  Request message = sum_message();
  message.mutable_inputs(0)->set_datatype("INT32");
  refused(server.grpc("ModelInfer", message.SerializeAsString()), grpc::INVALID_ARGUMENT);
}

}  // namespace

void add_grpc_fault_cases(WireCases& cases) {
  WireTopic topic(cases, "faults", Wire::kGrpc);
  for (size_t i = 0; i < kFaults.size(); ++i) topic.add(kFaults[i].name, send_wrong, i);
  topic
      .add("an unknown call",
           [](const ServerUnderTest& server, size_t) {
             const int code = server.grpc("ModelDance", "").status;
             expect(code == grpc::UNIMPLEMENTED, "the status must be UNIMPLEMENTED", code_name(code));
           })
      .add("bytes that are no message",
           [](const ServerUnderTest& server, size_t) {
             const GrpcAnswer answer = server.grpc("ModelInfer", "\xff\xff\xff");
             const bool refused =
                 answer.status == grpc::INVALID_ARGUMENT || answer.status == grpc::INTERNAL;  // gRPC's own parsers say INTERNAL
             expect(refused, "the status must be INVALID_ARGUMENT or INTERNAL", code_name(answer.status));
           })
      .add("a range that typed contents of INT8 exceed", [](const ServerUnderTest& server, size_t) {
        server.need_model(echo_model(DType::kI8));
        Request request;
        request.set_model_name(echo_model(DType::kI8));
        auto& input = *request.add_inputs();
        input.set_name("x");
        input.set_datatype("INT8");
        for (int i = 0; i < 2; ++i) input.add_shape(1);
        input.mutable_contents()->add_int_contents(128);
        refused(server.grpc("ModelInfer", request.SerializeAsString()), grpc::INVALID_ARGUMENT);
      });
  WireTopic(cases, "faults", Wire::kBoth).add("both protocols refuse alike", same_class);
}

}  // namespace tandem
