// ReverseSequence (ONNX 10). It is its own inverse, and its own gradient.
#include "kernels/api/reverse_sequence.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"batch_axis", "time_axis"};

void infer(InferenceContext& node) {
  node.require_dtype(1, DType::kI64);
  const int64_t batch = node.get_int("batch_axis", 1), time = node.get_int("time_axis", 0);
  node.require((batch == 0 && time == 1) || (batch == 1 && time == 0), "batch_axis and time_axis must be 0 and 1, or 1 and 0",
               batch, time);
  node.require(!node.has_rank(0) || node.rank(0) >= 2, "input must have at least two axes");
  if (node.has_rank(1)) {
    node.require(node.rank(1) == 1, "sequence_lens must be a list (rank)", node.rank(1));
    node.require(!node.has_rank(0) || !differ(node.dims(0)[static_cast<size_t>(batch)], node.dims(1)[0]),
                 "one length for each batch entry is needed (lengths, input)", to_string(node.dims(1)),
                 node.has_rank(0) ? to_string(node.dims(0)) : "?");
  }
  node.set_output_like(0, 0);
}

BoundKernel bind(const BindContext& node) {
  return {.run = [time = static_cast<int>(node.get_int("time_axis", 0))](const KernelContext& context, Inputs in, Outputs out) {
    cpu::reverse_sequence(context, in[0], in[1], time, out[0]);
  }};
}

void gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit("ReverseSequence", {node.output_grad(), node.input(1)},
                                   {{"batch_axis", node.get_int("batch_axis", 1)}, {"time_axis", node.get_int("time_axis", 0)}}));
}

constexpr OpDef reverse_sequence_op = {.name = "ReverseSequence",
                                       .since = 10,
                                       .min_inputs = 2,
                                       .max_inputs = 2,
                                       .attributes = kAttributes,
                                       .infer = infer,
                                       .gradient = gradient,
                                       .cpu = bind,
                                       .elements = Elements::kMoved};

constexpr const OpDef* kOps[] = {&reverse_sequence_op};

}  // namespace

extern const OpFamily reverse_sequence_ops;
constinit const OpFamily reverse_sequence_ops = kOps;

}  // namespace tandem
