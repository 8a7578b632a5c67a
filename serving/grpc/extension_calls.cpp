// The calls of the shared memory, logging and trace extensions.
#include "kernels/base/error.h"
#include "serving/grpc/inference_service-inl.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/settings.h"

namespace tandem::grpc_detail {

using namespace inference;

void InferenceService::authorize_memory(UnaryCall& call, const std::string& what) const {
  backend_.authorizer.authorize(Action::kShareMemory, caller_of(call), what);
}

void InferenceService::system_shared_memory_status(UnaryCall& call) {
  answer<SystemSharedMemoryStatusRequest, SystemSharedMemoryStatusResponse>(
      call, [&](const SystemSharedMemoryStatusRequest& asked, SystemSharedMemoryStatusResponse& to) {
        authorize_memory(call, "look at regions");
        for (const RegionStatus& region : backend_.shared_memory->status(asked.name())) {
          auto& entry = (*to.mutable_regions())[region.name];
          entry.set_name(region.name);
          entry.set_key(region.key);
          entry.set_offset(static_cast<uint64_t>(region.offset));
          entry.set_byte_size(static_cast<uint64_t>(region.bytes));
        }
      });
}

void InferenceService::system_shared_memory_register(UnaryCall& call) {
  answer<SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse>(
      call, [&](const SystemSharedMemoryRegisterRequest& asked, auto&) {
        const std::string what = "register region " + quoted_name(asked.name());
        authorize_memory(call, what);
        const auto is_size = [](uint64_t value) { return value <= static_cast<uint64_t>(INT64_MAX); };
        require(is_size(asked.offset()) && is_size(asked.byte_size()), "offset or byte_size of a shared memory region is out of range");
        backend_.shared_memory->add({asked.name(), asked.key(), static_cast<int64_t>(asked.offset()), static_cast<int64_t>(asked.byte_size())});
        backend_.authorizer.audit(caller_of(call), what, "done");
      });
}

void InferenceService::system_shared_memory_unregister(UnaryCall& call) {
  answer<SystemSharedMemoryUnregisterRequest, SystemSharedMemoryUnregisterResponse>(
      call, [&](const SystemSharedMemoryUnregisterRequest& asked, auto&) {
        const std::string what = asked.name().empty() ? "unregister all regions" : "unregister region " + quoted_name(asked.name());
        authorize_memory(call, what);
        if (asked.name().empty())
          backend_.shared_memory->remove_all();
        else
          backend_.shared_memory->remove(asked.name());
        backend_.authorizer.audit(caller_of(call), what, "done");
      });
}

// There is none of a GPU: looking at all of it and unregistering it work, as clients expect.
void InferenceService::cuda_shared_memory_status(UnaryCall& call) {
  answer<CudaSharedMemoryStatusRequest, CudaSharedMemoryStatusResponse>(
      call, [&](const CudaSharedMemoryStatusRequest& asked, auto&) {
        authorize_memory(call, "look at CUDA regions");
        check(asked.name().empty(), ErrorCode::kNotFound, "Unable to find shared memory region: " + quoted_name(asked.name()));
      });
}

void InferenceService::cuda_shared_memory_register(UnaryCall& call) {
  answer<CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse>(call, [&](const auto&, auto&) {
    authorize_memory(call, "register a CUDA region");
    throw NotEnabled("CUDA shared memory is not supported by this server");
  });
}

void InferenceService::cuda_shared_memory_unregister(UnaryCall& call) {
  answer<CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse>(
      call, [&](const CudaSharedMemoryUnregisterRequest& asked, auto&) {
        authorize_memory(call, "unregister CUDA regions");
        check(asked.name().empty(), ErrorCode::kNotFound, "Unable to find shared memory region: " + quoted_name(asked.name()));
      });
}

void InferenceService::trace_setting(UnaryCall& call) {
  answer<TraceSettingRequest, TraceSettingResponse>(
      call, [&](const TraceSettingRequest& asked, TraceSettingResponse& to) {
        const std::string& model = asked.model_name();
        if (!model.empty()) backend_.repository.find(model);  // it must be there
        TraceSettings settings = backend_.tracer.settings(model);
        if (asked.settings_size() > 0) {
          authorize_tracing(backend_, caller_of(call));
          settings = backend_.tracer.update(model, read_trace_update(asked));
          backend_.authorizer.audit(caller_of(call), "change trace settings", "done");
        }
        write_trace_settings(settings, backend_.tracer.path(), to);
      });
}

void InferenceService::log_settings(UnaryCall& call) {
  answer<LogSettingsRequest, LogSettingsResponse>(
      call, [&](const LogSettingsRequest& asked, LogSettingsResponse& to) {
        if (asked.settings_size() > 0) {
          backend_.authorizer.authorize(Action::kChangeSettings, caller_of(call), "change log settings");
          const LogUpdate update = read_log_update(asked);
          backend_.authorizer.audit(caller_of(call), "change log settings", "done");  // before they might forbid this line
          backend_.log.update(update);
        }
        write_log_settings(backend_.log.settings(), to);
      });
}

}  // namespace tandem::grpc_detail
