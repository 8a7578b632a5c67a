#include "serving/grpc/inference_service-inl.h"

#include <algorithm>
#include <mutex>

#include "kernels/base/error.h"
#include "serving/core/model_config.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/metadata_message.h"
#include "serving/protocol/statistics.h"

namespace tandem::grpc_detail {
namespace {

using namespace inference;

// The files are moved out of the request.
LoadOverrides overrides_of(RepositoryModelLoadRequest& asked) {
  constexpr std::string_view kFile = "file:";
  LoadOverrides overrides;
  for (auto& [key, value] : *asked.mutable_parameters()) {
    if (key == "config") {
      require(value.has_string_param(), "a parameter of load must be a string_param", key);
      overrides.config = parse_model_config_json(value.string_param());
    } else if (key.starts_with(kFile)) {
      require(value.has_bytes_param(), "the content of a file must be a bytes_param", key);
      overrides.files[key.substr(kFile.size())] = std::move(*value.mutable_bytes_param());
    } else if (key == "lease_ms") {
      require(value.has_int64_param(), "'lease_ms' must be an int64_param");
      overrides.lease = checked_lease(value.int64_param());
    } else {
      require(key == "pin", "load takes no parameter of this name: it must be config, file:<version>/<path>, pin or lease_ms", key);
      require(value.has_bool_param(), "'pin' must be a bool_param");
      overrides.pin = value.bool_param();
    }
  }
  require(overrides.files.empty() || overrides.config, "files of a model come with its 'config'");
  return overrides;
}

void check_parameters(const RepositoryModelUnloadRequest& asked) {
  for (const auto& [key, value] : asked.parameters()) {
    require(key == "unload_dependents", "unload takes no parameter of this name", key);
    require(value.has_bool_param(), "'unload_dependents' must be a bool_param");
  }
}

}  // namespace

InferenceService::InferenceService(const GrpcServerOptions& options, const Backend& backend, OpenStreams& streams)
    : options_(options),
      backend_(backend),
      methods_([this] {
        const auto method = [this](auto await, auto handle) {
          return UnaryCall::Method{[this, await](auto* context, auto* request, auto* writer, auto* queue, void* tag) {
                                     (this->*await)(context, request, writer, queue, queue, tag);
                                   },
                                   [this, handle](UnaryCall& call) { (this->*handle)(call); }};
        };
        return std::vector<UnaryCall::Method>{
            method(&InferenceService::RequestServerLive, &InferenceService::server_live),
            method(&InferenceService::RequestServerReady, &InferenceService::server_ready),
            method(&InferenceService::RequestModelReady, &InferenceService::model_ready),
            method(&InferenceService::RequestServerMetadata, &InferenceService::server_metadata),
            method(&InferenceService::RequestModelMetadata, &InferenceService::model_metadata),
            method(&InferenceService::RequestModelConfig, &InferenceService::model_config),
            method(&InferenceService::RequestModelStatistics, &InferenceService::model_statistics),
            method(&InferenceService::RequestRepositoryIndex, &InferenceService::repository_index),
            method(&InferenceService::RequestRepositoryModelLoad, &InferenceService::repository_model_load),
            method(&InferenceService::RequestRepositoryModelUnload, &InferenceService::repository_model_unload),
            method(&InferenceService::RequestSystemSharedMemoryStatus, &InferenceService::system_shared_memory_status),
            method(&InferenceService::RequestSystemSharedMemoryRegister, &InferenceService::system_shared_memory_register),
            method(&InferenceService::RequestSystemSharedMemoryUnregister, &InferenceService::system_shared_memory_unregister),
            method(&InferenceService::RequestCudaSharedMemoryStatus, &InferenceService::cuda_shared_memory_status),
            method(&InferenceService::RequestCudaSharedMemoryRegister, &InferenceService::cuda_shared_memory_register),
            method(&InferenceService::RequestCudaSharedMemoryUnregister, &InferenceService::cuda_shared_memory_unregister),
            method(&InferenceService::RequestTraceSetting, &InferenceService::trace_setting),
            method(&InferenceService::RequestLogSettings, &InferenceService::log_settings),
            method(&InferenceService::RequestModelInfer, &InferenceService::model_infer)};
      }()),
      stream_infer_{[this](auto* context, auto* stream, auto* queue, void* tag) { RequestModelStreamInfer(context, stream, queue, queue, tag); },
                    backend_, options_.limits, streams} {}

void InferenceService::listen(CallQueue& queue) {
  for (const UnaryCall::Method& method : methods_) UnaryCall::listen(queue, method);
  StreamInfer::listen(queue, stream_infer_);
}

// Reads now; what `prepare` makes of the request is done on the control lane, and the call finished there.
template <class Request, class Response, class Prepare>
void InferenceService::change(UnaryCall& call, Prepare&& prepare) {
  const Caller caller = caller_of(call);
  const auto finish = [this, &call, begun = backend_.clock.now(), name = Request::descriptor()->name(),
                       traffic = CallTraffic{caller.peer, static_cast<int64_t>(call.request().Length())}](const grpc::Status& status, const grpc::ByteBuffer& answer = {}) {
    record_call(backend_, name, status, begun, traffic);
    call.finish(status, answer);
  };
  try {
    Request asked;
    read_message(call.request(), options_.limits, asked);
    const std::string what = Request::descriptor()->name() + " " + quoted_name(asked.model_name());
    backend_.authorizer.authorize(Action::kChangeModels, caller, what);
    require(asked.repository_name().empty(), "there is one repository only; leave repository_name out");
    const auto run = [change = prepare(asked), finish] {
      change();
      finish(grpc::Status::OK, bytes_of(Response().SerializeAsString()));
    };
    change_models(backend_, caller, what, run, [finish](const std::exception_ptr& thrown) { finish(status_of(thrown)); });
  } catch (...) {
    finish(status_of(std::current_exception()));
  }
}

bool InferenceService::ready() const {
  return !draining_ && why_not_ready(backend_).empty();
}

bool InferenceService::is_model_ready(const std::string& name, const std::string& version) const try {
  return backend_.repository.find(name, backend_.repository.version_named(name, version))->model().usable();
} catch (const Error& error) {
  if (error.code() == ErrorCode::kUnavailable) return false;
  throw;
}

std::vector<ModelListing> InferenceService::listings_of(const std::string& name, const std::string& version) const {
  const std::optional<int64_t> number = backend_.repository.version_named(name, version);
  if (!name.empty()) backend_.repository.find(name, number);  // it must be there
  std::vector<ModelListing> listings = backend_.repository.listings();
  std::erase_if(listings, [&](const ModelListing& listing) {
    return (!name.empty() && listing.name != name) || (number && listing.version != *number);
  });
  return listings;
}

void InferenceService::server_live(UnaryCall& call) {
  answer<ServerLiveRequest, ServerLiveResponse>(call,
                                                       [this](const auto&, ServerLiveResponse& to) { to.set_live(is_alive(backend_)); });
}

void InferenceService::server_ready(UnaryCall& call) {
  answer<ServerReadyRequest, ServerReadyResponse>(call,
                                                         [this](const auto&, ServerReadyResponse& to) { to.set_ready(ready()); });
}

void InferenceService::model_ready(UnaryCall& call) {
  answer<ModelReadyRequest, ModelReadyResponse>(
      call,
      [this](const ModelReadyRequest& asked, ModelReadyResponse& to) { to.set_ready(is_model_ready(asked.name(), asked.version())); });
}

void InferenceService::server_metadata(UnaryCall& call) {
  answer<ServerMetadataRequest, ServerMetadataResponse>(
      call, [this](const auto&, ServerMetadataResponse& to) {
        write_server_metadata(options_.identity.name, options_.identity.version, extensions_of(backend_), to);
      });
}

void InferenceService::model_metadata(UnaryCall& call) {
  answer<ModelMetadataRequest, ModelMetadataResponse>(
      call, [this](const ModelMetadataRequest& asked, ModelMetadataResponse& to) {
        const std::optional<int64_t> version = backend_.repository.version_named(asked.name(), asked.version());
        const std::shared_ptr<ServedModel> served = backend_.repository.find(asked.name(), version);
        const Model& model = served->model();
        const std::vector<int64_t> versions =
            version ? std::vector<int64_t>{*version} : backend_.repository.ready_versions(asked.name());
        write_model_metadata(model.name(), versions, model.signature(), model.device(), served->batching(), to);
      });
}

void InferenceService::model_config(UnaryCall& call) {
  answer<ModelConfigRequest, ModelConfigResponse>(
      call, [this](const ModelConfigRequest& asked, ModelConfigResponse& to) {
        const auto served = backend_.repository.find(asked.name(), backend_.repository.version_named(asked.name(), asked.version()));
        write_message(served->model().config(), *to.mutable_config());
      });
}

void InferenceService::model_statistics(UnaryCall& call) {
  answer<ModelStatisticsRequest, ModelStatisticsResponse>(
      call, [this](const ModelStatisticsRequest& asked, ModelStatisticsResponse& to) {
        write_statistics(listings_of(asked.name(), asked.version()), to);
      });
}

void InferenceService::repository_index(UnaryCall& call) {
  answer<RepositoryIndexRequest, RepositoryIndexResponse>(
      call, [this](const RepositoryIndexRequest& asked, RepositoryIndexResponse& to) {
        write_repository_index(backend_.repository.listings(), asked.ready(), to);
      });
}

void InferenceService::repository_model_load(UnaryCall& call) {
  change<RepositoryModelLoadRequest, RepositoryModelLoadResponse>(
      call, [this](RepositoryModelLoadRequest& asked) {
        return [this, name = asked.model_name(), overrides = overrides_of(asked)] { backend_.repository.load(name, overrides); };
      });
}

void InferenceService::repository_model_unload(UnaryCall& call) {
  change<RepositoryModelUnloadRequest, RepositoryModelUnloadResponse>(
      call, [this](const RepositoryModelUnloadRequest& asked) {
        check_parameters(asked);
        return [this, name = asked.model_name()] { backend_.repository.unload(name); };
      });
}

void InferenceService::model_infer(UnaryCall& call) {
  const auto begun = begin_inference({backend_, options_.limits, call.context().peer(), &call.run_later()}, call.request(), call.context().deadline(),
                                     AnswerForm::kUnary, [&call](Outcome outcome) {
                                       // What gRPC's own retries go by (gRFC A6).
                                       if (outcome.retry_after)
                                         call.context().AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(outcome.retry_after->count()));
                                       call.finish(outcome.status, outcome.answer);
                                     });
  if (begun) call.when_cancelled([begun] { begun->cancel(); });
}

}  // namespace tandem::grpc_detail
