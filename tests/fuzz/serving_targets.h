// What the server's front ends read from a client or from config.pbtxt, without a socket. Each takes any bytes and throws at most
// tandem::Error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tandem::fuzz {

// The body of an inference request. Up to the first line feed: the value of Inference-Header-Content-Length, nothing for none.
void read_infer_body(std::string_view bytes);
std::vector<std::string> infer_body_seeds();

// A ModelInferRequest of gRPC. Bytes that are no message of it are gRPC's to refuse.
void read_infer_message_bytes(std::string_view bytes);
std::vector<std::string> infer_message_seeds();

// A model's configuration: JSON where it begins with a brace, else config.pbtxt. What was read is held against a
// model, completed and printed.
void read_config(std::string_view bytes);
std::vector<std::string> config_seeds();

// The body of a control route. The first line names it: load, unload, index or region.
void read_control_body(std::string_view bytes);
std::vector<std::string> control_body_seeds();

}  // namespace tandem::fuzz
