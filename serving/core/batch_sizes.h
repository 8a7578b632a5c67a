// Batch sizes that a model is made ready for when it is loaded, so that the first request of such a size is as fast as the next
// ones: on a GPU it replays a captured graph.
//
// A model declares them in its config.pbtxt, in Triton's words: optimization { cuda { graph_spec } }, else dynamic_batching {
// preferred_batch_size }. Of a model that does not, the server's --batch-sizes hold, and without these the powers of two up to
// the rows that memory is planned for at first. 0 stands for the one shape of a model without a batch dimension.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/core/model_config.h"

namespace tandem {

struct BatchSizes {
  std::vector<int64_t> sizes;  // none: the model makes itself ready as requests come
  std::string where;           // they were declared, for errors
  bool by_model = false;       // rather than for all models of a server
};

// Of a model that names none, and does not turn it off by `graphs: false`: nullopt.
std::optional<BatchSizes> declared_batch_sizes(const ServingConfig& config);

// "auto" (nullopt), "none", or a list such as "1,8,32". Throws InvalidArgument.
std::optional<BatchSizes> parse_batch_sizes(std::string_view text);

// Throws InvalidArgument for sizes below 1 or beyond `most`, given twice, or too many.
void check_batch_sizes(const BatchSizes& declared, int64_t most);

// What a model of this signature is to be ready for, ascending. `planned`: rows that memory is planned for at first; `most`: of a
// request. Throws InvalidArgument as check_batch_sizes does, and for sizes declared by a model that has no batch dimension.
std::vector<int64_t> sizes_to_make_ready(const std::optional<BatchSizes>& declared, const Signature& signature, int64_t planned,
                                         int64_t most);

}  // namespace tandem
