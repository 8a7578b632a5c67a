#include "serving/grpc/inference_service-inl.h"

#include <algorithm>
#include <mutex>

#include "kernels/base/error.h"
#include "serving/core/model_config.h"
#include "serving/grpc/stream_infer-inl.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/metadata_message.h"
#include "serving/protocol/statistics.h"

namespace tandem::grpc_detail {
namespace {

using namespace inference;

// One unary inference. gRPC keeps it until it has finished and cancellations have been told.
class UnaryInfer final : public grpc::ServerUnaryReactor {
 public:
  UnaryInfer(grpc::CallbackServerContext& context, const InferenceContext& inference, const grpc::ByteBuffer& request,
             grpc::ByteBuffer& response, std::atomic<int64_t>& unanswered) {
    auto call = begin_inference(inference, request, context.deadline(), AnswerForm::kUnary, [this, &context, &response, &unanswered](Outcome outcome) {
      unanswered.fetch_sub(1, std::memory_order_relaxed);
      // What gRPC's own retries go by (gRFC A6).
      if (outcome.retry_after) context.AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(outcome.retry_after->count()));
      if (outcome.status.ok()) response.Swap(&outcome.answer);
      Finish(outcome.status);
    });
    call_ = std::move(call);
  }
  void OnCancel() override {
    if (call_) call_->cancel();
  }
  void OnDone() override { delete this; }

 private:
  std::shared_ptr<InferenceCall> call_;
};

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

// Reads now; what `prepare` makes of the request is done on the control lane, and the call finished there.
template <class Request, class Response, class Prepare>
InferenceService::Reactor* InferenceService::change(Context* context, const Bytes* request, Bytes* response, Prepare&& prepare) {
  Reactor* reactor = context->DefaultReactor();
  const Caller caller = caller_of(*context);
  const auto finish = [this, reactor, begun = backend_.clock.now(), name = Request::descriptor()->name(),
                       traffic = CallTraffic{caller.peer, static_cast<int64_t>(request->Length())}](const grpc::Status& status) {
    record_call(backend_, name, status, begun, traffic);
    reactor->Finish(status);
  };
  try {
    Request asked;
    read_message(*request, options_.limits, asked);
    const std::string what = Request::descriptor()->name() + " " + quoted_name(asked.model_name());
    backend_.authorizer.authorize(Action::kChangeModels, caller, what);
    require(asked.repository_name().empty(), "there is one repository only; leave repository_name out");
    const auto run = [change = prepare(asked), response, finish] {
      change();
      *response = bytes_of(Response().SerializeAsString());
      finish(grpc::Status::OK);
    };
    change_models(backend_, caller, what, run, [finish](const std::exception_ptr& thrown) { finish(status_of(thrown)); });
  } catch (...) {
    finish(status_of(std::current_exception()));
  }
  return reactor;
}

bool InferenceService::ready() const {
  return !draining_ && why_not_ready(backend_).empty();
}

bool InferenceService::model_ready(const std::string& name, const std::string& version) const try {
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

InferenceService::Reactor* InferenceService::ServerLive(Context* context, const Bytes* request, Bytes* response) {
  return answer<ServerLiveRequest, ServerLiveResponse>(context, request, response,
                                                       [this](const auto&, ServerLiveResponse& to) { to.set_live(is_alive(backend_)); });
}

InferenceService::Reactor* InferenceService::ServerReady(Context* context, const Bytes* request, Bytes* response) {
  return answer<ServerReadyRequest, ServerReadyResponse>(context, request, response,
                                                         [this](const auto&, ServerReadyResponse& to) { to.set_ready(ready()); });
}

InferenceService::Reactor* InferenceService::ModelReady(Context* context, const Bytes* request, Bytes* response) {
  return answer<ModelReadyRequest, ModelReadyResponse>(
      context, request, response,
      [this](const ModelReadyRequest& asked, ModelReadyResponse& to) { to.set_ready(model_ready(asked.name(), asked.version())); });
}

InferenceService::Reactor* InferenceService::ServerMetadata(Context* context, const Bytes* request, Bytes* response) {
  return answer<ServerMetadataRequest, ServerMetadataResponse>(
      context, request, response, [this](const auto&, ServerMetadataResponse& to) {
        write_server_metadata(options_.identity.name, options_.identity.version, extensions_of(backend_), to);
      });
}

InferenceService::Reactor* InferenceService::ModelMetadata(Context* context, const Bytes* request, Bytes* response) {
  return answer<ModelMetadataRequest, ModelMetadataResponse>(
      context, request, response, [this](const ModelMetadataRequest& asked, ModelMetadataResponse& to) {
        const std::optional<int64_t> version = backend_.repository.version_named(asked.name(), asked.version());
        const std::shared_ptr<ServedModel> served = backend_.repository.find(asked.name(), version);
        const Model& model = served->model();
        const std::vector<int64_t> versions =
            version ? std::vector<int64_t>{*version} : backend_.repository.ready_versions(asked.name());
        write_model_metadata(model.name(), versions, model.signature(), model.device(), to);
      });
}

InferenceService::Reactor* InferenceService::ModelConfig(Context* context, const Bytes* request, Bytes* response) {
  return answer<ModelConfigRequest, ModelConfigResponse>(
      context, request, response, [this](const ModelConfigRequest& asked, ModelConfigResponse& to) {
        const auto served = backend_.repository.find(asked.name(), backend_.repository.version_named(asked.name(), asked.version()));
        write_message(served->model().config(), *to.mutable_config());
      });
}

InferenceService::Reactor* InferenceService::ModelStatistics(Context* context, const Bytes* request, Bytes* response) {
  return answer<ModelStatisticsRequest, ModelStatisticsResponse>(
      context, request, response, [this](const ModelStatisticsRequest& asked, ModelStatisticsResponse& to) {
        write_statistics(listings_of(asked.name(), asked.version()), to);
      });
}

InferenceService::Reactor* InferenceService::RepositoryIndex(Context* context, const Bytes* request, Bytes* response) {
  return answer<RepositoryIndexRequest, RepositoryIndexResponse>(
      context, request, response, [this](const RepositoryIndexRequest& asked, RepositoryIndexResponse& to) {
        write_repository_index(backend_.repository.listings(), asked.ready(), to);
      });
}

InferenceService::Reactor* InferenceService::RepositoryModelLoad(Context* context, const Bytes* request, Bytes* response) {
  return change<RepositoryModelLoadRequest, RepositoryModelLoadResponse>(
      context, request, response, [this](RepositoryModelLoadRequest& asked) {
        return [this, name = asked.model_name(), overrides = overrides_of(asked)] { backend_.repository.load(name, overrides); };
      });
}

InferenceService::Reactor* InferenceService::RepositoryModelUnload(Context* context, const Bytes* request, Bytes* response) {
  return change<RepositoryModelUnloadRequest, RepositoryModelUnloadResponse>(
      context, request, response, [this](const RepositoryModelUnloadRequest& asked) {
        check_parameters(asked);
        return [this, name = asked.model_name()] { backend_.repository.unload(name); };
      });
}

InferenceService::Reactor* InferenceService::ModelInfer(Context* context, const Bytes* request, Bytes* response) {
  // While others wait gRPC's threads have enough to do for these.
  static const RunLater at_once = [](const std::function<void()>& work) { work(); };
  const bool is_alone = unanswered_.fetch_add(1, std::memory_order_relaxed) == 0;
  return new UnaryInfer(*context, {backend_, options_.limits, context->peer(), is_alone ? &at_once : nullptr}, *request, *response, unanswered_);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* InferenceService::ModelStreamInfer(Context* context) {
  return new StreamInfer(*context, {backend_, options_.limits, context->peer()}, streams_);
}

}  // namespace tandem::grpc_detail
