// The protocol's descriptions as JSON: server, models, configurations, repository index, errors.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "serving/core/repository.h"
#include "serving/core/signature.h"

namespace tandem {

std::string server_metadata_json(std::string_view name, std::string_view version);

// `versions`: those that are ready, or the one asked for. Unknown dimensions are -1. A model for which a GPU was asked says in
// `parameters` where it runs ("device") and, if that is the CPU, why ("fallback"); on a GPU how many graphs are captured
// ("captured_graphs") and, if a capture failed, why ("not_captured").
std::string model_metadata_json(std::string_view name, std::span<const int64_t> versions, const Signature& signature,
                                const ModelDevice& device = {});

// A model's configuration in the words of Triton's ModelConfig. With max_batch > 0 dimensions exclude the batch; a tensor that is
// nothing but its batch has dims [1] and reshape []. `graph_sizes`: batch sizes that were captured on the GPU at load.
std::string model_config_json(std::string_view name, const Signature& signature, int64_t max_batch, int lanes,
                              bool on_device = false, std::span<const int64_t> graph_sizes = {});

// [{"name", "version", "state", "reason"}]; a version that fell back to the CPU, or whose capture failed, is READY with a reason.
std::string repository_index_json(std::span<const ModelListing> listings, bool ready_only);

// The body of POST /v2/repository/index: empty, or {"ready": bool}. Throws InvalidArgument.
bool parse_ready_filter(std::string_view body);

std::string error_json(std::string_view message);

}  // namespace tandem
