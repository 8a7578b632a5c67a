// One case of the suite: a question to a server, and what must hold of its answer.
//
// Cases judge by the Open Inference Protocol v2 (kserve/open-inference-protocol) and by what the public documentation of Triton's
// extensions says; by an extension only where the server announces it. A case throws Error for an answer that is wrong and
// Skipped where it does not apply.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tandem {

class ServerUnderTest;

struct Skipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using WireCheck = void (*)(const ServerUnderTest&, size_t index);

struct WireCase {
  std::string topic, name;
  bool http = false, grpc = false;  // the protocols it needs
  std::string extension;            // that it is about; "": the core of the protocol
  WireCheck run = nullptr;
  size_t index = 0;  // given to `run`, for cases that come from a table
};

using WireCases = std::vector<WireCase>;

enum class Wire : uint8_t { kHttp, kGrpc, kBoth };

// Adds cases that have their topic, protocol and extension in common.
class WireTopic {
 public:
  WireTopic(WireCases& cases, std::string topic, Wire wire, std::string extension = "")
      : cases_(cases), topic_(std::move(topic)), wire_(wire), extension_(std::move(extension)) {}
  WireTopic& add(std::string name, WireCheck run, size_t index = 0) {
    cases_.push_back({topic_, std::move(name), wire_ != Wire::kGrpc, wire_ != Wire::kHttp, extension_, run, index});
    return *this;
  }

 private:
  WireCases& cases_;
  const std::string topic_;
  const Wire wire_;
  const std::string extension_;
};

// All topics, in the order of the report.
WireCases all_wire_cases();

// By file.
void add_server_cases(WireCases& cases);      // health, metadata
void add_http_infer_cases(WireCases& cases);  // JSON tensors
void add_http_fault_cases(WireCases& cases);
void add_binary_cases(WireCases& cases);
void add_datatype_cases(WireCases& cases);
void add_grpc_infer_cases(WireCases& cases);
void add_grpc_fault_cases(WireCases& cases);
void add_stream_cases(WireCases& cases);
void add_extension_cases(WireCases& cases);  // statistics, configuration, repository, settings ...
void add_transport_cases(WireCases& cases);  // HTTP/1.1 itself, compression
void add_model_cases(WireCases& cases);      // of the model that --model names

}  // namespace tandem
