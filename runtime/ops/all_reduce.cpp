// The sum of a gradient bucket over all ranks (internal, domain "tandem"), begun and awaited by two nodes so that it runs beside
// the backward pass. Both work in place: the bucket's memory stays alive, and its own, from the beginning to the end of the
// collective. On a GPU, where the plan allows it (PlanOptions::device_collectives), the bucket stays there, and its address is the handle.
#include "kernels/cuda/device/session.h"
#include "runtime/comm/device_communicator.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

constexpr std::string_view kStartAttributes[] = {"bucket"};
constexpr Alias kStartAliases[] = {{.input = 0, .output = 0, .kind = AliasKind::kView}};
constexpr Alias kWaitAliases[] = {{.input = 0, .output = 0, .kind = AliasKind::kView}};

void infer_start(InferenceContext& node) {
  node.require_dtype(0, DType::kF32);
  node.set_output_like(0, 0);
  node.set_output(1, DType::kI64, Dims{});
}

void infer_wait(InferenceContext& node) {
  node.require_dtype(1, DType::kI64);
  node.set_output_like(0, 0);
}

Communicator& communicator_of(const KernelContext& context) {
  require(context.communicator != nullptr, "[AllReduce] the graph has collectives but the executor was given no communicator");
  return *context.communicator;
}

BoundKernel bind_start(const BindContext& node) {
  return {[bucket = node.get_string("bucket", "")](const KernelContext& context, Inputs, Outputs out) {
    out[1].as<int64_t>()[0] = communicator_of(context).begin_all_reduce(out[0].as<float>(), bucket);
  }};
}

BoundKernel bind_wait(const BindContext&) {
  return {[](const KernelContext& context, Inputs in, Outputs) { communicator_of(context).wait(in[1].as<int64_t>()[0]); }};
}

DeviceCommunicator& devices_of(const KernelContext& context) {
  DeviceCommunicator* const devices = communicator_of(context).devices();
  require(devices != nullptr, "[AllReduce] the plan has collectives on the GPU, but the ranks' GPUs are not connected");
  return *devices;
}

BoundKernel bind_start_on_device(const BindContext& node) {
  return {[bucket = node.get_string("bucket", "")](const KernelContext& context, Inputs, Outputs out) {
    devices_of(context).begin_all_reduce(out[0], context.cuda->stream(), bucket);
  }};
}

BoundKernel bind_wait_on_device(const BindContext&) {
  return {[](const KernelContext& context, Inputs in, Outputs) { devices_of(context).wait(in[0].data, context.cuda->stream()); }};
}

constexpr OpDef all_reduce_start_op = {
    .name = "AllReduceStart",
    .domain = "tandem",
    .min_outputs = 2,
    .max_outputs = 2,
    .attributes = kStartAttributes,
    .infer = infer_start,
    .cpu = bind_start,
    .cuda = on_cuda(bind_start_on_device),
    .aliases = kStartAliases,
    .stateful = true,
};

constexpr OpDef all_reduce_wait_op = {
    .name = "AllReduceWait",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_wait,
    .cpu = bind_wait,
    .cuda = on_cuda(bind_wait_on_device),
    .aliases = kWaitAliases,
    .stateful = true,
};

constexpr const OpDef* kOps[] = {&all_reduce_start_op, &all_reduce_wait_op};

}  // namespace

extern const OpFamily all_reduce_ops;
constinit const OpFamily all_reduce_ops = kOps;

}  // namespace tandem
