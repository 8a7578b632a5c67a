// The calls of the shared memory, logging and trace extensions.
#include "kernels/base/error.h"
#include "serving/grpc/inference_service-inl.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/settings.h"

namespace tandem::grpc_detail {

using namespace inference;

void InferenceService::authorize_memory(const Context& context, const std::string& what) const {
  backend_.authorizer.authorize(Action::kShareMemory, caller_of(context), what);
}

InferenceService::Reactor* InferenceService::SystemSharedMemoryStatus(Context* context, const Bytes* request, Bytes* response) {
  return answer<SystemSharedMemoryStatusRequest, SystemSharedMemoryStatusResponse>(
      context, request, response, [&](const SystemSharedMemoryStatusRequest& asked, SystemSharedMemoryStatusResponse& to) {
        authorize_memory(*context, "look at regions");
        for (const RegionStatus& region : backend_.shared_memory->status(asked.name())) {
          auto& entry = (*to.mutable_regions())[region.name];
          entry.set_name(region.name);
          entry.set_key(region.key);
          entry.set_offset(static_cast<uint64_t>(region.offset));
          entry.set_byte_size(static_cast<uint64_t>(region.bytes));
        }
      });
}

InferenceService::Reactor* InferenceService::SystemSharedMemoryRegister(Context* context, const Bytes* request, Bytes* response) {
  return answer<SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse>(
      context, request, response, [&](const SystemSharedMemoryRegisterRequest& asked, auto&) {
        const std::string what = "register region " + quoted_name(asked.name());
        authorize_memory(*context, what);
        const auto is_size = [](uint64_t value) { return value <= static_cast<uint64_t>(INT64_MAX); };
        require(is_size(asked.offset()) && is_size(asked.byte_size()), "offset or byte_size of a shared memory region is out of range");
        backend_.shared_memory->add({asked.name(), asked.key(), static_cast<int64_t>(asked.offset()), static_cast<int64_t>(asked.byte_size())});
        backend_.authorizer.audit(caller_of(*context), what, "done");
      });
}

InferenceService::Reactor* InferenceService::SystemSharedMemoryUnregister(Context* context, const Bytes* request, Bytes* response) {
  return answer<SystemSharedMemoryUnregisterRequest, SystemSharedMemoryUnregisterResponse>(
      context, request, response, [&](const SystemSharedMemoryUnregisterRequest& asked, auto&) {
        const std::string what = asked.name().empty() ? "unregister all regions" : "unregister region " + quoted_name(asked.name());
        authorize_memory(*context, what);
        if (asked.name().empty())
          backend_.shared_memory->remove_all();
        else
          backend_.shared_memory->remove(asked.name());
        backend_.authorizer.audit(caller_of(*context), what, "done");
      });
}

// There is none of a GPU: looking at all of it and unregistering it work, as clients expect.
InferenceService::Reactor* InferenceService::CudaSharedMemoryStatus(Context* context, const Bytes* request, Bytes* response) {
  return answer<CudaSharedMemoryStatusRequest, CudaSharedMemoryStatusResponse>(
      context, request, response, [&](const CudaSharedMemoryStatusRequest& asked, auto&) {
        authorize_memory(*context, "look at CUDA regions");
        check(asked.name().empty(), ErrorCode::kNotFound, "Unable to find shared memory region: " + quoted_name(asked.name()));
      });
}

InferenceService::Reactor* InferenceService::CudaSharedMemoryRegister(Context* context, const Bytes* request, Bytes* response) {
  return answer<CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse>(context, request, response, [&](const auto&, auto&) {
    authorize_memory(*context, "register a CUDA region");
    throw NotEnabled("CUDA shared memory is not supported by this server");
  });
}

InferenceService::Reactor* InferenceService::CudaSharedMemoryUnregister(Context* context, const Bytes* request, Bytes* response) {
  return answer<CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse>(
      context, request, response, [&](const CudaSharedMemoryUnregisterRequest& asked, auto&) {
        authorize_memory(*context, "unregister CUDA regions");
        check(asked.name().empty(), ErrorCode::kNotFound, "Unable to find shared memory region: " + quoted_name(asked.name()));
      });
}

InferenceService::Reactor* InferenceService::TraceSetting(Context* context, const Bytes* request, Bytes* response) {
  return answer<TraceSettingRequest, TraceSettingResponse>(
      context, request, response, [&](const TraceSettingRequest& asked, TraceSettingResponse& to) {
        const std::string& model = asked.model_name();
        if (!model.empty()) backend_.repository.find(model);  // it must be there
        TraceSettings settings = backend_.tracer.settings(model);
        if (asked.settings_size() > 0) {
          authorize_tracing(backend_, caller_of(*context));
          settings = backend_.tracer.update(model, read_trace_update(asked));
          backend_.authorizer.audit(caller_of(*context), "change trace settings", "done");
        }
        write_trace_settings(settings, backend_.tracer.path(), to);
      });
}

InferenceService::Reactor* InferenceService::LogSettings(Context* context, const Bytes* request, Bytes* response) {
  return answer<LogSettingsRequest, LogSettingsResponse>(
      context, request, response, [&](const LogSettingsRequest& asked, LogSettingsResponse& to) {
        if (asked.settings_size() > 0) {
          backend_.authorizer.authorize(Action::kChangeSettings, caller_of(*context), "change log settings");
          const LogUpdate update = read_log_update(asked);
          backend_.authorizer.audit(caller_of(*context), "change log settings", "done");  // before they might forbid this line
          backend_.log.update(update);
        }
        write_log_settings(backend_.log.settings(), to);
      });
}

}  // namespace tandem::grpc_detail
