// What a load asks: a model's metadata, inputs that fit it, requests on the wire, and whether the first answer is a right one.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "serving/load/http_connection.h"
#include "serving/protocol/infer_request.h"

namespace tandem {

struct TensorFace {
  std::string name, datatype;
  std::vector<int64_t> shape;  // -1: any size
};

// A model as its server describes it.
struct ModelFace {
  std::string name;
  std::vector<TensorFace> inputs, outputs;
};

// Throws Unavailable with what the server said if it has no such model.
ModelFace ask_http_metadata(const HttpAddress& address, const std::string& model);
ModelFace ask_grpc_metadata(const std::string& target, const std::string& model);

struct InputChoice {
  int64_t batch = 1;                                   // the first dimension where that is open
  std::map<std::string, std::vector<int64_t>> shapes;  // of inputs with other open dimensions
  uint64_t seed = 1;
  uint64_t request = 0;  // of several with one seed: each has numbers of its own
};

// The shape of an input by the model and the choice. Throws InvalidArgument if a dimension stays open.
Shape shape_of(const TensorFace& face, const InputChoice& choice);

// Numbers in [-1, 1), integers 0 and 1 (safe as indices), the text "a". Throws InvalidArgument naming an input with an open
// dimension that `choice` does not settle, or a datatype that is none.
std::vector<InferInput> random_inputs(const ModelFace& model, const InputChoice& choice);
// From the JSON body of a v2 request, as for curl. Throws InvalidArgument.
std::vector<InferInput> inputs_of_json(std::string_view body);

enum class TensorForm : uint8_t { kBinary, kJson };

// The bytes of the HTTP request.
std::string http_infer_request(const HttpAddress& address, const std::string& model, const std::vector<InferInput>& inputs,
                               TensorForm form);
// The bytes of a ModelInferRequest.
std::string grpc_infer_request(const std::string& model, const std::vector<InferInput>& inputs);

// Throws Unavailable, with what is wrong, unless the answer is well-formed, names every output of the model, and has as many
// bytes as its shapes say.
void check_http_answer(const ModelFace& model, const HttpAnswer& answer);
void check_grpc_answer(const ModelFace& model, const std::string& answer);

}  // namespace tandem
