// Optional values (ONNX 15): Optional makes one, of its input or empty, OptionalHasElement asks, OptionalGetElement takes out
// what is there. From 18 on the last two take plain tensors and sequences too, and OptionalHasElement no input at all.
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

constexpr std::string_view kType[] = {"type"};

bool is_sequence(Container container) { return container == Container::kSequence || container == Container::kOptionalSequence; }

// The attribute of an empty value: container and element type, which is all that is kept of ONNX's TypeProto.
TensorType stated_type(const NodeContext& node) {
  const auto type = node.get_ints("type");
  node.require(type.size() == 2, "without an input the attribute type is required");
  return {static_cast<DType>(type[1]), std::nullopt, static_cast<Container>(type[0])};
}

void infer_optional(InferenceContext& node) {
  TensorType type = node.has_input(0) ? node.type(0) : stated_type(node);
  type.container = is_sequence(type.container) ? Container::kOptionalSequence : Container::kOptional;
  node.set_output_type(0, std::move(type));
}

void evaluate_optional(EvaluateContext& node) {
  RunValue value;
  if (node.has_input(0)) {
    value = node.input(0);
  } else {
    const TensorType type = stated_type(node);
    value.container = type.container;
    value.dtype = type.dtype;
    value.present = false;
  }
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

constexpr OpDef optional_op = {.name = "Optional",
                               .since = 15,
                               .min_inputs = 0,
                               .max_inputs = 1,
                               .attributes = kType,
                               .infer = infer_optional,
                               .evaluate = evaluate_optional};
constexpr OpDef has_element_op = {
    .name = "OptionalHasElement", .since = 15, .min_inputs = 0, .max_inputs = 1, .infer = infer_has, .evaluate = evaluate_has};
constexpr OpDef get_element_op = {.name = "OptionalGetElement", .since = 15, .infer = infer_get, .evaluate = evaluate_get};

constexpr const OpDef* kOps[] = {&optional_op, &has_element_op, &get_element_op};

}  // namespace

extern const OpFamily optional_ops;
constinit const OpFamily optional_ops = kOps;

}  // namespace tandem
