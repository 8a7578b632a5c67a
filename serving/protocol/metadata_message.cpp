#include "serving/protocol/metadata_message.h"

#include "inference_service.pb.h"
#include "serving/protocol/datatype.h"

namespace tandem {
namespace {

void write_tensor(const TensorSpec& spec, inference::ModelMetadataResponse::TensorMetadata& message) {
  message.set_name(spec.name);
  message.set_datatype(std::string(wire_name(spec.dtype)));
  for (const Dim& dim : spec.dims) message.add_shape(dim.known() ? dim.size : -1);
}

}  // namespace

void write_server_metadata(std::string_view name, std::string_view version, const Extensions& allowed,
                           inference::ServerMetadataResponse& message) {
  message.set_name(std::string(name));
  message.set_version(std::string(version));
  for (std::string_view extension : server_extensions(allowed)) message.add_extensions(std::string(extension));
}

void write_model_metadata(std::string_view name, std::span<const int64_t> versions, const Signature& signature,
                          const ModelDevice& device, const BatchingOptions& batching, inference::ModelMetadataResponse& message) {
  message.set_name(std::string(name));
  for (int64_t version : versions) message.add_versions(std::to_string(version));
  message.set_platform("tandem_onnx");
  for (const TensorSpec& spec : signature.inputs) write_tensor(spec, *message.add_inputs());
  for (const TensorSpec& spec : signature.outputs) write_tensor(spec, *message.add_outputs());
  auto& properties = *message.mutable_properties();
  if (batching.slo) {
    properties["slo"] = to_string(*batching.slo);
    properties["lanes_per_batch"] = std::to_string(batching.lanes_per_batch);
  }
  if (device.asked.empty() && device.problem.empty()) return;
  properties["device"] = device.on_device ? device.asked : "cpu";
  if (!device.on_device) properties["fallback"] = device.problem;
  if (device.on_device) properties["captured_graphs"] = std::to_string(device.captured_graphs);
  if (!device.not_captured.empty()) properties["not_captured"] = device.not_captured;
}

void write_repository_index(std::span<const ModelListing> listings, bool ready_only, inference::RepositoryIndexResponse& message) {
  for (const IndexEntry& entry : index_entries(listings, ready_only)) {
    auto& model = *message.add_models();
    model.set_name(entry.name);
    model.set_version(entry.version);
    model.set_state(entry.state);
    model.set_reason(entry.reason);
  }
}

}  // namespace tandem
