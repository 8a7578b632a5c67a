// What Tandem accepts from a file or a client at most. One struct, so that every limit has one name, one default and one place.
#pragma once

#include <cstdint>

namespace tandem {

struct Limits {
  int64_t model_bytes = int64_t{2} << 30;   // a model.onnx without external data (protobuf's own limit)
  int64_t tensor_bytes = int64_t{8} << 30;  // one tensor
  int64_t graph_nodes = 10'000'000;
  int64_t function_nodes = 1'000'000;           // that the calls of a model's own functions stand for
  int64_t node_arity = 100'000;                 // inputs or outputs of one node
  int64_t text_file_bytes = int64_t{16} << 30;  // a CSV or JSON data file
  int64_t csv_columns = 65'536;
  int64_t config_bytes = 1 << 20;
  int64_t json_depth = 100;
  int64_t request_bytes = 64 << 20;         // one HTTP body
  int64_t request_header_bytes = 64 << 10;  // all headers of one HTTP request
  int64_t request_headers = 100;
  int64_t request_tensors = 1'024;  // inputs of one request
  int64_t connections = 1'024;
  int64_t request_timeout_ms = 30'000;  // from the first byte of a request to its last
  int64_t queue_length = 4'096;         // requests waiting for one model
};

}  // namespace tandem
