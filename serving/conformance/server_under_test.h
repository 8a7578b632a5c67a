// A server of the Open Inference Protocol v2, of whom nothing is known but its addresses.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "serving/conformance/http_peer.h"
#include "serving/load/grpc_call.h"

namespace tandem {

struct ServerAddresses {
  std::optional<HttpAddress> http;
  std::string grpc;   // "host:port"; "": none
  std::string model;  // any model that the server has; "": none named
};

class ServerUnderTest {
 public:
  // Asks for the extensions. Throws Unavailable if nobody answers at an address.
  explicit ServerUnderTest(const ServerAddresses& addresses);

  bool has_http() const { return addresses_.http.has_value(); }
  bool has_grpc() const { return !addresses_.grpc.empty(); }
  bool announces(const std::string& extension) const { return extensions_.contains(extension); }
  // What the server calls itself.
  const std::string& name() const { return name_; }
  const std::string& model() const { return addresses_.model; }

  // To be called by cases that need the protocol.
  HttpPeer http() const { return HttpPeer(*addresses_.http); }
  GrpcAnswer grpc(const std::string& method, const std::string& request) const { return grpc_stream(method, {request}); }
  GrpcAnswer grpc_stream(const std::string& method, const std::vector<std::string>& requests) const;
  const std::string& grpc_target() const { return addresses_.grpc; }

  // Throws Skipped unless the server announces extensions: for what Triton's clients use without an extension's name.
  void need_extensions() const;
  // Throws Skipped if the server does not serve a model of the suite.
  void need_model(const std::string& name) const;

 private:
  bool serves(const std::string& name) const;
  void ask_http();
  void ask_grpc();

  ServerAddresses addresses_;
  std::string name_;
  std::set<std::string> extensions_;
};

}  // namespace tandem
