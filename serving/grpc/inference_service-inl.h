// The calls of inference.GRPCInferenceService, as bytes: each is read within the limits, answered from the backend, and written.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <string>

#include "inference_service.grpc.pb.h"
#include "serving/grpc/grpc_server.h"
#include "serving/grpc/inference-inl.h"
#include "serving/grpc/open_streams-inl.h"

namespace tandem::grpc_detail {

// Answers UNIMPLEMENTED to what is not overridden.
template <class Base>
using WithoutCalls = inference::GRPCInferenceService::WithCallbackMethod_SystemSharedMemoryStatus<
    inference::GRPCInferenceService::WithCallbackMethod_SystemSharedMemoryRegister<
        inference::GRPCInferenceService::WithCallbackMethod_SystemSharedMemoryUnregister<
            inference::GRPCInferenceService::WithCallbackMethod_CudaSharedMemoryStatus<
                inference::GRPCInferenceService::WithCallbackMethod_CudaSharedMemoryRegister<
                    inference::GRPCInferenceService::WithCallbackMethod_CudaSharedMemoryUnregister<
                        inference::GRPCInferenceService::WithCallbackMethod_TraceSetting<
                            inference::GRPCInferenceService::WithCallbackMethod_LogSettings<Base>>>>>>>>;

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

class InferenceService final : public WithActions<WithDescriptions<WithoutCalls<inference::GRPCInferenceService::Service>>> {
 public:
  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  using Reactor = grpc::ServerUnaryReactor;

  // All outlive the service.
  InferenceService(const GrpcServerOptions& options, const GrpcBackend& backend, OpenStreams& streams)
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
  Reactor* ModelInfer(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerBidiReactor<Bytes, Bytes>* ModelStreamInfer(Context* context) override;

 private:
  template <class Request, class Response, class Answer>
  Reactor* answer(Context* context, const Bytes* request, Bytes* response, Answer&& answer) const;
  template <class Request, class Response, class Prepare>
  Reactor* change(Context* context, const Bytes* request, Bytes* response, Prepare&& prepare);
  std::vector<ModelListing> listings_of(const std::string& name, const std::string& version) const;

  const GrpcServerOptions& options_;
  GrpcBackend backend_;
  OpenStreams& streams_;
  std::atomic<bool> draining_{false};
};

}  // namespace tandem::grpc_detail
