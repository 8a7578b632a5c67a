// The calls of inference.GRPCInferenceService, as bytes: each is read within the limits, answered from the backend, and written.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "inference_service.grpc.pb.h"
#include "serving/grpc/call_bytes-inl.h"
#include "serving/grpc/grpc_server.h"
#include "serving/grpc/inference-inl.h"
#include "serving/grpc/open_streams-inl.h"
#include "serving/grpc/server_calls-inl.h"
#include "serving/grpc/stream_infer-inl.h"

namespace tandem::grpc_detail {

template <class Base>
using WithSharedMemory = inference::GRPCInferenceService::WithRawMethod_SystemSharedMemoryStatus<
    inference::GRPCInferenceService::WithRawMethod_SystemSharedMemoryRegister<
        inference::GRPCInferenceService::WithRawMethod_SystemSharedMemoryUnregister<
            inference::GRPCInferenceService::WithRawMethod_CudaSharedMemoryStatus<
                inference::GRPCInferenceService::WithRawMethod_CudaSharedMemoryRegister<
                    inference::GRPCInferenceService::WithRawMethod_CudaSharedMemoryUnregister<Base>>>>>>;

template <class Base>
using WithSettings = inference::GRPCInferenceService::WithRawMethod_TraceSetting<
    inference::GRPCInferenceService::WithRawMethod_LogSettings<Base>>;

template <class Base>
using WithDescriptions = inference::GRPCInferenceService::WithRawMethod_ServerLive<
    inference::GRPCInferenceService::WithRawMethod_ServerReady<
        inference::GRPCInferenceService::WithRawMethod_ModelReady<
            inference::GRPCInferenceService::WithRawMethod_ServerMetadata<
                inference::GRPCInferenceService::WithRawMethod_ModelMetadata<
                    inference::GRPCInferenceService::WithRawMethod_ModelConfig<
                        inference::GRPCInferenceService::WithRawMethod_ModelStatistics<
                            inference::GRPCInferenceService::WithRawMethod_RepositoryIndex<Base>>>>>>>>;

template <class Base>
using WithActions = inference::GRPCInferenceService::WithRawMethod_ModelInfer<
    inference::GRPCInferenceService::WithRawMethod_ModelStreamInfer<
        inference::GRPCInferenceService::WithRawMethod_RepositoryModelLoad<
            inference::GRPCInferenceService::WithRawMethod_RepositoryModelUnload<Base>>>>;

class InferenceService final
    : public WithActions<WithDescriptions<WithSharedMemory<WithSettings<inference::GRPCInferenceService::Service>>>> {
 public:
  // All outlive the service.
  InferenceService(const GrpcServerOptions& options, const Backend& backend, OpenStreams& streams);

  // Answers the calls that `queue` is told of, once the server has started.
  void listen(CallQueue& queue);
  void drain() { draining_ = true; }
  bool ready() const;
  // Whether it is there, and answers; throws NotFound for an unknown model.
  bool is_model_ready(const std::string& name, const std::string& version) const;

 private:
  void server_live(UnaryCall& call);
  void server_ready(UnaryCall& call);
  void model_ready(UnaryCall& call);
  void server_metadata(UnaryCall& call);
  void model_metadata(UnaryCall& call);
  void model_config(UnaryCall& call);
  void model_statistics(UnaryCall& call);
  void repository_index(UnaryCall& call);
  void repository_model_load(UnaryCall& call);
  void repository_model_unload(UnaryCall& call);
  void system_shared_memory_status(UnaryCall& call);
  void system_shared_memory_register(UnaryCall& call);
  void system_shared_memory_unregister(UnaryCall& call);
  void cuda_shared_memory_status(UnaryCall& call);
  void cuda_shared_memory_register(UnaryCall& call);
  void cuda_shared_memory_unregister(UnaryCall& call);
  void trace_setting(UnaryCall& call);
  void log_settings(UnaryCall& call);
  void model_infer(UnaryCall& call);

  template <class Request, class Response, class Answer>
  void answer(UnaryCall& call, Answer&& answer) const;
  template <class Request, class Response, class Prepare>
  void change(UnaryCall& call, Prepare&& prepare);
  Caller caller_of(UnaryCall& call) const { return {"grpc", call.context().peer()}; }
  void authorize_memory(UnaryCall& call, const std::string& what) const;
  std::vector<ModelListing> listings_of(const std::string& name, const std::string& version) const;

  const GrpcServerOptions& options_;
  const Backend backend_;
  const std::vector<UnaryCall::Method> methods_;
  const StreamInfer::Method stream_infer_;
  std::atomic<bool> draining_{false};
};

// Reads, answers and finishes at once.
template <class Request, class Response, class Answer>
void InferenceService::answer(UnaryCall& call, Answer&& answer) const {
  const Clock::TimePoint begun = backend_.clock.now();
  CallTraffic traffic{call.context().peer(), static_cast<int64_t>(call.request().Length())};
  grpc::Status status;
  grpc::ByteBuffer bytes;
  try {
    Request asked;
    read_message(call.request(), options_.limits, asked);
    Response message;
    answer(asked, message);
    bytes = bytes_of(message.SerializeAsString());
    traffic.bytes_out = static_cast<int64_t>(bytes.Length());
  } catch (...) {
    status = status_of(std::current_exception());
  }
  record_call(backend_, Request::descriptor()->name(), status, begun, traffic);
  call.finish(status, bytes);
}

}  // namespace tandem::grpc_detail
