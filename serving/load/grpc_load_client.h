// Unary calls over gRPC: a channel with a connection of its own each, one completion queue for all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serving/load/load_client.h"

namespace tandem {

// `target`: "host:port"; `requests`: the bytes of ModelInferRequests, sent in turn. Throws Unavailable if nobody listens there. `clock` outlives the client.
std::unique_ptr<LoadClient> grpc_load_client(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock);

}  // namespace tandem
