// Trilu (ONNX 14): the upper or lower triangle of the last two axes, from diagonal k on (an optional input, 0 by default).
#include "kernels/api/movement.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/index_list.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"upper"};

void infer(InferenceContext& node) {
  if (node.has_input(1)) node.require_dtype(1, DType::kI64);
  if (node.has_rank(0)) node.require(node.rank(0) >= 2, "input needs at least two axes (rank)", node.rank(0));
  node.set_output_like(0, 0);
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  const bool upper = node.get_int("upper", 1) != 0;
  return {.run = [upper](const KernelContext& context, Inputs in, Outputs out) {
    const bool has_k = in.size() > 1 && in[1];
    require(!has_k || in[1].elements() == 1, "[Trilu] k must be one number");
    kernel(context, in[0], has_k ? in[1].as<int64_t>()[0] : 0, upper, out[0]);
  }};
}

void gradient(GradientContext& node) {
  if (!node.wants(0)) return;
  std::vector<ValueId> inputs = {node.output_grad()};
  if (node.has_input(1)) inputs.push_back(node.input(1));
  node.set_input_grad(0, node.emit("Trilu", std::move(inputs), {{"upper", node.get_int("upper", 1)}}));
}

constexpr OpDef trilu_op = {.name = "Trilu",
                            .since = 14,
                            .max_inputs = 2,
                            .attributes = kAttributes,
                            .infer = infer,
                            .gradient = gradient,
                            .cpu = bind<cpu::trilu>,
                            .cuda = on_cuda(bind<cuda::trilu>),
                            .host_inputs = input_set(1),
                            .elements = Elements::kMoved};

constexpr const OpDef* kOps[] = {&trilu_op};

}  // namespace

extern const OpFamily trilu_ops;
constinit const OpFamily trilu_ops = kOps;

}  // namespace tandem
