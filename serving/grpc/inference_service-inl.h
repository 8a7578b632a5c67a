// The calls of inference.GRPCInferenceService, as bytes: each is read within the limits, answered from the backend, and written.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <string>

#include "inference_service.grpc.pb.h"
#include "serving/grpc/call_bytes-inl.h"
#include "serving/grpc/grpc_server.h"
#include "serving/grpc/inference-inl.h"
#include "serving/grpc/open_streams-inl.h"

namespace tandem::grpc_detail {

template <class Base>
using WithSharedMemory = inference::GRPCInferenceService::WithRawCallbackMethod_SystemSharedMemoryStatus<
    inference::GRPCInferenceService::WithRawCallbackMethod_SystemSharedMemoryRegister<
        inference::GRPCInferenceService::WithRawCallbackMethod_SystemSharedMemoryUnregister<
            inference::GRPCInferenceService::WithRawCallbackMethod_CudaSharedMemoryStatus<
                inference::GRPCInferenceService::WithRawCallbackMethod_CudaSharedMemoryRegister<
                    inference::GRPCInferenceService::WithRawCallbackMethod_CudaSharedMemoryUnregister<Base>>>>>>;

template <class Base>
using WithSettings = inference::GRPCInferenceService::WithRawCallbackMethod_TraceSetting<
    inference::GRPCInferenceService::WithRawCallbackMethod_LogSettings<Base>>;

template <class Base>
using WithDescriptions = inference::GRPCInferenceService::WithRawCallbackMethod_ServerLive<
    inference::GRPCInferenceService::WithRawCallbackMethod_ServerReady<
        inference::GRPCInferenceService::WithRawCallbackMethod_ModelReady<
            inference::GRPCInferenceService::WithRawCallbackMethod_ServerMetadata<
                inference::GRPCInferenceService::WithRawCallbackMethod_ModelMetadata<
                    inference::GRPCInferenceService::WithRawCallbackMethod_ModelConfig<
                        inference::GRPCInferenceService::WithRawCallbackMethod_ModelStatistics<
                            inference::GRPCInferenceService::WithRawCallbackMethod_RepositoryIndex<Base>>>>>>>>;

template <class Base>
using WithActions = inference::GRPCInferenceService::WithRawCallbackMethod_ModelInfer<
    inference::GRPCInferenceService::WithRawCallbackMethod_ModelStreamInfer<
        inference::GRPCInferenceService::WithRawCallbackMethod_RepositoryModelLoad<
            inference::GRPCInferenceService::WithRawCallbackMethod_RepositoryModelUnload<Base>>>>;

class InferenceService final
    : public WithActions<WithDescriptions<WithSharedMemory<WithSettings<inference::GRPCInferenceService::Service>>>> {
 public:
  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  using Reactor = grpc::ServerUnaryReactor;

  // All outlive the service.
  InferenceService(const GrpcServerOptions& options, const Backend& backend, OpenStreams& streams)
      : options_(options), backend_(backend), streams_(streams) {}

  void drain() { draining_ = true; }
  bool ready() const;
  // Whether it is there, and answers; throws NotFound for an unknown model.
  bool model_ready(const std::string& name, const std::string& version) const;

  Reactor* ServerLive(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ServerReady(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ModelReady(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ServerMetadata(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ModelMetadata(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ModelConfig(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ModelStatistics(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* RepositoryIndex(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* RepositoryModelLoad(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* RepositoryModelUnload(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* SystemSharedMemoryStatus(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* SystemSharedMemoryRegister(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* SystemSharedMemoryUnregister(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* CudaSharedMemoryStatus(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* CudaSharedMemoryRegister(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* CudaSharedMemoryUnregister(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* TraceSetting(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* LogSettings(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ModelInfer(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerBidiReactor<Bytes, Bytes>* ModelStreamInfer(Context* context) override;

 private:
  template <class Request, class Response, class Answer>
  Reactor* answer(Context* context, const Bytes* request, Bytes* response, Answer&& answer) const;
  template <class Request, class Response, class Prepare>
  Reactor* change(Context* context, const Bytes* request, Bytes* response, Prepare&& prepare);
  Caller caller_of(const Context& context) const { return {"grpc", context.peer()}; }
  void authorize_memory(const Context& context, const std::string& what) const;
  std::vector<ModelListing> listings_of(const std::string& name, const std::string& version) const;

  const GrpcServerOptions& options_;
  const Backend backend_;
  OpenStreams& streams_;
  std::atomic<bool> draining_{false};
  std::atomic<int64_t> unanswered_{0};  // calls of ModelInfer
};

// Reads, answers and finishes at once.
template <class Request, class Response, class Answer>
InferenceService::Reactor* InferenceService::answer(Context* context, const Bytes* request, Bytes* response, Answer&& answer) const {
  Reactor* reactor = context->DefaultReactor();
  const Clock::TimePoint begun = backend_.clock.now();
  CallTraffic traffic{context->peer(), static_cast<int64_t>(request->Length())};
  grpc::Status status;
  try {
    Request asked;
    read_message(*request, options_.limits, asked);
    Response message;
    answer(asked, message);
    *response = bytes_of(message.SerializeAsString());
    traffic.bytes_out = static_cast<int64_t>(response->Length());
  } catch (...) {
    status = status_of(std::current_exception());
  }
  record_call(backend_, Request::descriptor()->name(), status, begun, traffic);
  reactor->Finish(status);
  return reactor;
}

}  // namespace tandem::grpc_detail
