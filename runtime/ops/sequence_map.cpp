// SequenceMap (ONNX 17): a body runs once for each element of a sequence; other sequences are walked beside it, tensors are the
// same each time.
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/body.h"

namespace tandem {
namespace {

constexpr std::string_view kBody[] = {"body"};

void infer(InferenceContext& node) {
  const Graph& body = body_of(node, "body");
  node.require(node.type(0).container == Container::kSequence, "input 0 must be a sequence");
  node.require(
      node.inputs() == formal_inputs(body) + body.captured_inputs && node.outputs() == static_cast<int>(body.outputs.size()),
      "inputs or outputs do not match the body (inputs, body, outputs, body)", node.inputs() - body.captured_inputs,
      formal_inputs(body), node.outputs(), body.outputs.size());
  for (int i = 0; i < node.outputs(); ++i) {
    TensorType type = output_type(body, i);
    node.require(type.container == Container::kTensor, "the body must make tensors (output)", i);
    if (type.dims && !fixed_shape(*type.dims)) type.dims.reset();  // its symbols are the body's own
    type.container = Container::kSequence;
    node.set_output_type(i, std::move(type));
  }
}

void evaluate(EvaluateContext& node) {
  const Graph& body = body_of(node, "body");
  const auto formal = static_cast<size_t>(formal_inputs(body));
  const auto given = node.inputs_from(0);
  const size_t length = given[0].sequence.size();
  for (size_t i = 1; i < formal; ++i)
    node.require(!given[i].is_sequence() || given[i].sequence.size() == length,
                 "sequences have different lengths (input, length, first)", i, given[i].sequence.size(), length);
  std::vector<RunValue> values(given.begin(), given.end());
  std::vector<std::vector<Tensor>> made(body.outputs.size());
  for (size_t at = 0; at < length; ++at) {
    for (size_t i = 0; i < formal; ++i)
      if (given[i].is_sequence()) values[i] = RunValue::of(given[i].sequence[at]);
    const std::vector<RunValue> outputs = node.run("body", values);
    for (size_t o = 0; o < made.size(); ++o) made[o].push_back(outputs[o].tensor);
  }
  for (size_t o = 0; o < made.size(); ++o)
    node.set_output(static_cast<int>(o), RunValue::of(output_type(body, static_cast<int>(o)).dtype, std::move(made[o])));
}

constexpr OpDef sequence_map_op = {.name = "SequenceMap",
                                   .since = 17,
                                   .max_inputs = kVariadic,
                                   .max_outputs = kVariadic,
                                   .attributes = kBody,
                                   .infer = infer,
                                   .evaluate = evaluate};

constexpr const OpDef* kOps[] = {&sequence_map_op};

}  // namespace

extern const OpFamily sequence_map_ops;
constinit const OpFamily sequence_map_ops = kOps;

}  // namespace tandem
