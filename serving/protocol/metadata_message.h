// The protocol's descriptions as messages: what metadata.h has as JSON.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "serving/protocol/metadata.h"

namespace inference {
class ModelMetadataResponse;
class RepositoryIndexResponse;
class ServerMetadataResponse;
}  // namespace inference

namespace tandem {

void write_server_metadata(std::string_view name, std::string_view version, const Extensions& allowed,
                           inference::ServerMetadataResponse& message);
// What model_metadata_json has in `parameters` is in `properties`.
void write_model_metadata(std::string_view name, std::span<const int64_t> versions, const Signature& signature,
                          const ModelDevice& device, const BatchingOptions& batching, inference::ModelMetadataResponse& message);
void write_repository_index(std::span<const ModelListing> listings, bool ready_only, inference::RepositoryIndexResponse& message);

}  // namespace tandem
