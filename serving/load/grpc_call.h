// One call over gRPC, waited for: its messages, and how it ended.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace tandem {

struct GrpcCall {
  std::string target;                               // "host:port"
  std::string path;                                 // "/inference.GRPCInferenceService/ModelInfer"
  std::vector<std::string> messages;                // one, or any number for a stream
  std::map<std::string, std::string> headers = {};  // metadata
  bool gzip = false;                                // messages are sent compressed
  std::chrono::milliseconds patience{30'000};       // the call's deadline
};

struct GrpcAnswer {
  int status = 0;  // gRPC's code; 0: OK
  std::string text;
  std::vector<std::string> messages;
};

// Path of a call of GRPCInferenceService.
std::string inference_path(const std::string& method);

// Sends all messages, says that there are no more, and reads until the call ends. Never throws for what the server does.
GrpcAnswer grpc_call(const GrpcCall& call);

// One unary call of GRPCInferenceService: the answer's bytes. Throws Unavailable with what the server said.
std::string grpc_exchange(const std::string& target, const std::string& method, const std::string& request);

}  // namespace tandem
