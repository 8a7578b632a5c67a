// tandem.CopyToDevice(x) and tandem.CopyToHost(x): the same tensor in the memory of the GPU, or of the host. The planner puts them where a
// value crosses (runtime/plan/device_placement.h) and the executor does the copying; on the CPU alone both are plain copies.
#include "kernels/api/movement.h"
#include "runtime/ops/gradient_context.h"

namespace tandem {
namespace {

void infer(InferenceContext& node) {
  node.set_output_like(0, 0);
  if (auto content = node.content(0)) node.set_content(0, *content);
}

void gradient(GradientContext& node) { node.set_input_grad(0, node.output_grad()); }

BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cpu::copy(context, in[0], out[0]); }};
}

constexpr OpDef copy_to_device_op = {
    .name = "CopyToDevice", .domain = "tandem", .infer = infer, .gradient = gradient, .cpu = bind, .elements = Elements::kMoved};
constexpr OpDef copy_to_host_op = {
    .name = "CopyToHost", .domain = "tandem", .infer = infer, .gradient = gradient, .cpu = bind, .elements = Elements::kMoved};

constexpr const OpDef* kOps[] = {&copy_to_device_op, &copy_to_host_op};

}  // namespace

extern const OpFamily copy_ops;
constinit const OpFamily copy_ops = kOps;

}  // namespace tandem
