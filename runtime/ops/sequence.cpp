// Sequences of tensors (ONNX 11): SequenceConstruct, -Empty, -Insert, -Erase, -At, -Length. The tensors of a sequence are
// handles: what is handed on is not copied.
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/body.h"
#include "runtime/ops/element_types.h"

namespace tandem {
namespace {

constexpr std::string_view kDtype[] = {"dtype"};

void require_sequence(const InferenceContext& node, int input) {
  node.require(node.type(input).container == Container::kSequence, "input must be a sequence (index)", input);
}

TensorType element_type(const InferenceContext& node, int sequence) {
  require_sequence(node, sequence);
  return {node.dtype(sequence), node.type(sequence).dims};
}

// What the node's tensor has in common with the sequence's.
TensorType sequence_of(TensorType element) {
  element.container = Container::kSequence;
  return element;
}

void infer_construct(InferenceContext& node) {
  node.require_tensor(0);
  TensorType common = node.type(0);
  for (int i = 1; i < node.inputs(); ++i) {
    node.require_tensor(i);
    common = common_type(node, common, node.type(i));
  }
  node.set_output_type(0, sequence_of(std::move(common)));
}
void evaluate_construct(EvaluateContext& node) {
  std::vector<Tensor> tensors;
  for (int i = 0; i < node.inputs(); ++i) tensors.push_back(node.tensor(i));
  const DType type = tensors[0].dtype();
  node.set_output(0, RunValue::of(type, std::move(tensors)));
}

DType empty_type(const NodeContext& node) {
  const int64_t number = node.get_int("dtype", int64_t{1});
  const auto type = static_cast<DType>(number);
  node.require(number > 0 && number < 256 && name(type) != "unknown", "dtype is no element type", number);
  return type;
}
void infer_empty(InferenceContext& node) { node.set_output_type(0, {empty_type(node), std::nullopt, Container::kSequence}); }
void evaluate_empty(EvaluateContext& node) { node.set_output(0, RunValue::of(empty_type(node), {})); }

// The number in input `i`, from the end if negative. It must be in [-size, limit).
size_t position(const EvaluateContext& node, int i, size_t size, size_t limit) {
  const Tensor& tensor = node.tensor(i);
  node.require(tensor.elements() == 1, "the position must be one number (elements)", tensor.elements());
  const int64_t given = tensor.dtype() == DType::kI32 ? tensor.as<int32_t>()[0] : tensor.as<int64_t>()[0];
  const int64_t at = given < 0 ? given + static_cast<int64_t>(size) : given;
  node.require(at >= 0 && at < static_cast<int64_t>(limit), "the position is outside the sequence (position, length)", given,
               size);
  return static_cast<size_t>(at);
}

void infer_insert(InferenceContext& node) {
  node.require_tensor(1);
  if (node.has_input(2)) require_index(node, 2);
  const TensorType element = element_type(node, 0);
  node.require(element.dtype == node.dtype(1), "the tensor has another type than the sequence's (tensor, sequence)",
               name(node.dtype(1)), name(element.dtype));
  node.set_output_type(0, sequence_of(common_type(node, element, node.type(1))));
}
void evaluate_insert(EvaluateContext& node) {
  std::vector<Tensor> tensors = node.input(0).sequence;
  const size_t at = node.has_input(2) ? position(node, 2, tensors.size(), tensors.size() + 1) : tensors.size();
  tensors.insert(tensors.begin() + static_cast<std::ptrdiff_t>(at), node.tensor(1));
  node.set_output(0, RunValue::of(node.input(0).dtype, std::move(tensors)));
}

void infer_erase(InferenceContext& node) {
  require_sequence(node, 0);
  if (node.has_input(1)) require_index(node, 1);
  node.set_output_like(0, 0);
}
void evaluate_erase(EvaluateContext& node) {
  std::vector<Tensor> tensors = node.input(0).sequence;
  node.require(!tensors.empty(), "an empty sequence has nothing to erase");
  const size_t at = node.has_input(1) ? position(node, 1, tensors.size(), tensors.size()) : tensors.size() - 1;
  tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(at));
  node.set_output(0, RunValue::of(node.input(0).dtype, std::move(tensors)));
}

void infer_at(InferenceContext& node) {
  require_index(node, 1);
  node.set_output_type(0, element_type(node, 0));
}
void evaluate_at(EvaluateContext& node) {
  const std::vector<Tensor>& tensors = node.input(0).sequence;
  node.set_output(0, tensors[position(node, 1, tensors.size(), tensors.size())]);
}

void infer_length(InferenceContext& node) {
  require_sequence(node, 0);
  node.set_output(0, DType::kI64, Dims{});
}
void evaluate_length(EvaluateContext& node) {
  node.set_output(0, Tensor::scalar(static_cast<int64_t>(node.input(0).sequence.size())));
}

constexpr OpDef sequence_op(std::string_view name, int least, int most, void (*infer)(InferenceContext&),
                            void (*evaluate)(EvaluateContext&), std::span<const std::string_view> attributes = {}) {
  return {.name = name,
          .since = 11,
          .min_inputs = least,
          .max_inputs = most,
          .attributes = attributes,
          .infer = infer,
          .evaluate = evaluate};
}

constexpr OpDef construct_op = sequence_op("SequenceConstruct", 1, kVariadic, infer_construct, evaluate_construct);
constexpr OpDef empty_op = sequence_op("SequenceEmpty", 0, 0, infer_empty, evaluate_empty, kDtype);
constexpr OpDef insert_op = sequence_op("SequenceInsert", 2, 3, infer_insert, evaluate_insert);
constexpr OpDef erase_op = sequence_op("SequenceErase", 1, 2, infer_erase, evaluate_erase);
constexpr OpDef at_op = sequence_op("SequenceAt", 2, 2, infer_at, evaluate_at);
constexpr OpDef length_op = sequence_op("SequenceLength", 1, 1, infer_length, evaluate_length);

constexpr const OpDef* kOps[] = {&construct_op, &empty_op, &insert_op, &erase_op, &at_op, &length_op};

}  // namespace

extern const OpFamily sequence_ops;
constinit const OpFamily sequence_ops = kOps;

}  // namespace tandem
