// Calls in streams (ModelStreamInfer) over gRPC: a channel with a connection and one open stream each, one request at a time on it.
//
// Servers are asked to end a stream with the status of a request that fails (`triton_grpc_error`), since a message in the stream does not tell why it is one;
// a new stream takes its place on the same connection.
#pragma once

#include "serving/load/grpc_load_client.h"

namespace tandem {

// As grpc_load_client.
std::unique_ptr<LoadClient> grpc_stream_client(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock);

// One request in a stream, waited for: the bytes of its ModelInferResponse. Throws Unavailable with what the server said.
std::string grpc_stream_exchange(const std::string& target, const std::string& request);

}  // namespace tandem
