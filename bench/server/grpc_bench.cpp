// What gRPC adds to an inference: a closed loop over 1, 8 and 32 connections against a server in this process, beside a bare gRPC
// service of the same messages that hands the request's bytes back, and beside ServerLive, which computes nothing.
//
// The model is Identity; its answer is compared with the request before anything is timed. Client and server share the processors.
// Rounds of all cases are interleaved; the figures are percentiles over all rounds. Usage: grpc_bench [rounds] [milliseconds a round]
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "inference_service.grpc.pb.h"
#include "runtime/graph/op_def.h"
#include "runtime/onnx/onnx.h"
#include "runtime/ops/all_ops.h"
#include "serving/http/inference_server.h"

namespace tandem {
namespace {

using namespace inference;
using Clock = std::chrono::steady_clock;
using Stub = GRPCInferenceService::Stub;

class Echo final : public GRPCInferenceService::WithCallbackMethod_ModelInfer<GRPCInferenceService::Service> {
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context, const ModelInferRequest* request,
                                       ModelInferResponse* response) override {
    response->set_model_name(request->model_name());
    *response->mutable_raw_output_contents() = request->raw_input_contents();
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

Graph make_identity() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", "width"});
  const ValueId y = graph.add_node(newest_op("Identity"), {x}, 1)[0];
  graph.value(y).name = std::string("y");
  graph.outputs = {y};
  return graph;
}

ModelInferRequest request_of(int width) {
  ModelInferRequest request;
  request.set_model_name("same");
  auto& input = *request.add_inputs();
  input.set_name("x");
  input.set_datatype("FP32");
  input.add_shape(1);
  input.add_shape(width);
  request.add_raw_input_contents(std::string(static_cast<size_t>(width) * sizeof(float), 'a'));
  return request;
}

void check_status(const grpc::Status& status) { ensure(status.ok(), "a call failed", status.error_message()); }

void infer(Stub& stub, const ModelInferRequest& request) {
  grpc::ClientContext context;
  ModelInferResponse response;
  check_status(stub.ModelInfer(&context, request, &response));
  ensure(response.raw_output_contents(0) == request.raw_input_contents(0), "the answer is not the request");
}

void ask_live(Stub& stub) {
  grpc::ClientContext context;
  ServerLiveResponse response;
  check_status(stub.ServerLive(&context, {}, &response));
}

struct Case {
  std::string name;
  int port;
  int connections;
  std::function<void(Stub&)> call;
  std::vector<std::unique_ptr<Stub>> stubs = {};
  std::vector<double> times = {};
  double seconds = 0;
};

void connect(Case& one) {
  grpc::ChannelArguments own;
  own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection each
  for (int i = 0; i < one.connections; ++i)
    one.stubs.push_back(GRPCInferenceService::NewStub(
        grpc::CreateCustomChannel(fmt::format("127.0.0.1:{}", one.port), grpc::InsecureChannelCredentials(), own)));
  for (const auto& stub : one.stubs) one.call(*stub);
}

// A thread a connection, each with one call at a time.
void run(Case& one, std::chrono::milliseconds time) {
  std::vector<std::vector<double>> times(one.stubs.size());
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  for (size_t i = 0; i < one.stubs.size(); ++i)
    threads.emplace_back([&, i] {
      for (auto now = Clock::now(); now - begin < time;) {
        one.call(*one.stubs[i]);
        const auto end = Clock::now();
        times[i].push_back(std::chrono::duration<double, std::micro>(end - now).count());
        now = end;
      }
    });
  for (std::thread& thread : threads) thread.join();
  one.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  for (const auto& own : times) one.times.insert(one.times.end(), own.begin(), own.end());
}

double percentile(std::vector<double>& times, double p) {
  std::ranges::sort(times);
  return times[static_cast<size_t>(p * static_cast<double>(times.size() - 1))];
}

void bench(int rounds, std::chrono::milliseconds time) {
  const std::filesystem::path root = std::filesystem::temp_directory_path() / fmt::format("tandem-grpc-bench-{}", getpid());
  std::filesystem::create_directories(root / "same/1");
  save_onnx(make_identity(), root / "same/1/model.onnx");
  InferenceServerOptions options;
  options.repository = root;
  options.http.port = 0;
  options.grpc_port = 0;
  InferenceServer server(options);
  std::filesystem::remove_all(root);
  Echo echo;
  int echo_port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &echo_port).RegisterService(&echo);
  const auto echo_server = builder.BuildAndStart();

  const ModelInferRequest small = request_of(1), large = request_of(16'384);
  std::vector<Case> cases;
  for (int connections : {1, 8, 32}) {
    cases.push_back({"ServerLive", *server.grpc_port(), connections, ask_live});
    for (const auto& [name, port] : {std::pair{"bare echo", echo_port}, std::pair{"Identity", *server.grpc_port()}}) {
      cases.push_back({fmt::format("{}, 4 bytes", name), port, connections, [&](Stub& stub) { infer(stub, small); }});
      cases.push_back({fmt::format("{}, 64 KiB", name), port, connections, [&](Stub& stub) { infer(stub, large); }});
    }
  }
  for (Case& one : cases) connect(one);
  for (int round = 0; round < rounds; ++round)
    for (Case& one : cases) run(one, time);
  fmt::print("{:<22} {:>12} {:>10} {:>10} {:>12}\n", "", "connections", "p50 us", "p99 us", "requests/s");
  for (Case& one : cases)
    fmt::print("{:<22} {:>12} {:>10.1f} {:>10.1f} {:>12.0f}\n", one.name, one.connections, percentile(one.times, 0.5),
               percentile(one.times, 0.99), static_cast<double>(one.times.size()) / one.seconds);
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  try {
    tandem::bench(argc > 1 ? std::atoi(argv[1]) : 5, std::chrono::milliseconds(argc > 2 ? std::atoi(argv[2]) : 300));
  } catch (const tandem::Error& error) {
    fmt::print(stderr, "grpc_bench: {}\n", error.what());
    return 1;
  }
}
