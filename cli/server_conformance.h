// `tandem conformance --server`: the suite of the Open Inference Protocol v2 against a running server.
#pragma once

#include <string>
#include <vector>

namespace tandem::cli {

struct ServerConformance {
  std::string server;  // host[:port] of HTTP; "": none
  std::string grpc;    // host:port; "": none
  std::string model;   // any model the server has; "": none
  std::vector<std::string> filters;
  bool verbose = false, json = false;
};

// The exit code: 1 if a case fails. Throws Unavailable if nobody answers.
int run_server_conformance(const ServerConformance& flags);
// Writes the models that the suite asks about into a repository. Throws what save_onnx throws.
int write_conformance_models(const std::string& folder);

}  // namespace tandem::cli
