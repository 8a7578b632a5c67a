// Optional values (ONNX 15): Optional makes one, of its input or empty, OptionalHasElement asks, OptionalGetElement takes out
// what is there. From 18 on the last two take plain tensors and sequences too, and OptionalHasElement no input at all.
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

bool is_sequence(Container container) { return container == Container::kSequence || container == Container::kOptionalSequence; }

void infer_optional(InferenceContext& node) {
  node.require(node.has_input(0), "an empty optional value cannot be made: the attribute type is not read");
  TensorType type = node.type(0);
  type.container = is_sequence(type.container) ? Container::kOptionalSequence : Container::kOptional;
  node.set_output_type(0, std::move(type));
}

void evaluate_optional(EvaluateContext& node) {
  RunValue value = node.input(0);
  value.container = value.is_sequence() ? Container::kOptionalSequence : Container::kOptional;
  node.set_output(0, std::move(value));
}

void infer_has(InferenceContext& node) { node.set_output(0, DType::kBool, Dims{}); }
void evaluate_has(EvaluateContext& node) { node.set_output(0, Tensor::scalar(node.has_input(0) && node.input(0).present)); }

void infer_get(InferenceContext& node) {
  TensorType type = node.type(0);
  type.container = is_sequence(type.container) ? Container::kSequence : Container::kTensor;
  node.set_output_type(0, std::move(type));
}
void evaluate_get(EvaluateContext& node) {
  RunValue value = node.input(0);
  node.require(value.present, "the optional value holds nothing");
  value.container = value.is_sequence() ? Container::kSequence : Container::kTensor;
  node.set_output(0, std::move(value));
}

constexpr OpDef optional_op = {
    .name = "Optional", .since = 15, .min_inputs = 0, .max_inputs = 1, .infer = infer_optional, .evaluate = evaluate_optional};
constexpr OpDef has_element_op = {
    .name = "OptionalHasElement", .since = 15, .min_inputs = 0, .max_inputs = 1, .infer = infer_has, .evaluate = evaluate_has};
constexpr OpDef get_element_op = {.name = "OptionalGetElement", .since = 15, .infer = infer_get, .evaluate = evaluate_get};

constexpr const OpDef* kOps[] = {&optional_op, &has_element_op, &get_element_op};

}  // namespace

extern const OpFamily optional_ops;
constinit const OpFamily optional_ops = kOps;

}  // namespace tandem
