// If-1 to 25 and Loop-1 to 25 (ONNX; the versions differ in element types only). Their bodies are graphs of their own, with what
// they take from around them as last inputs (runtime/graph/graph.h).
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/body.h"

namespace tandem {
namespace {

constexpr std::string_view kIfAttributes[] = {"else_branch", "then_branch"}, kLoopAttributes[] = {"body"};

bool condition(const EvaluateContext& node, const RunValue& value) {
  node.require(value.tensor.dtype() == DType::kBool && value.tensor.elements() == 1, "a condition must be one bool (shape)",
               to_string(value.tensor.shape()));
  return value.tensor.as<bool>()[0];
}

void infer_if(InferenceContext& node) {
  const Graph &then_body = body_of(node, "then_branch"), &else_body = body_of(node, "else_branch");
  node.require_dtype(0, DType::kBool);
  node.require(formal_inputs(then_body) == 0 && formal_inputs(else_body) == 0, "the branches of If take no inputs of their own");
  node.require(node.inputs() == 1 + then_body.captured_inputs + else_body.captured_inputs, "wrong number of inputs (has)",
               node.inputs());
  for (const Graph* body : {&then_body, &else_body})
    node.require(static_cast<int>(body->outputs.size()) == node.outputs(),
                 "a branch has another number of outputs than the node (branch, node)", body->outputs.size(), node.outputs());
  for (int i = 0; i < node.outputs(); ++i)
    node.set_output_type(i, common_type(node, output_type(then_body, i), output_type(else_body, i)));
}

void evaluate_if(EvaluateContext& node) {
  const bool taken = condition(node, node.input(0));
  const auto of_else = static_cast<size_t>(body_of(node, "else_branch").captured_inputs);
  const auto captured = node.inputs_from(1);
  std::vector<RunValue> outputs =
      taken ? node.run("then_branch", captured.subspan(of_else)) : node.run("else_branch", captured.first(of_else));
  for (size_t i = 0; i < outputs.size(); ++i) node.set_output(static_cast<int>(i), std::move(outputs[i]));
}

constexpr OpDef if_op = {.name = "If",
                         .max_inputs = kVariadic,
                         .max_outputs = kVariadic,
                         .attributes = kIfAttributes,
                         .infer = infer_if,
                         .evaluate = evaluate_if};

// Node: trip count, condition, carried..., captured... -> carried..., stacked...
// Body: iteration, condition, carried..., captured... -> condition, carried..., one slice of each stacked...
struct LoopShape {
  int carried, stacked;
  LoopShape(const NodeContext& node, const Graph& body)
      : carried(formal_inputs(body) - 2), stacked(static_cast<int>(body.outputs.size()) - 1 - carried) {
    node.require(carried >= 0 && stacked >= 0,
                 "the body of Loop takes iteration, condition and carried values and makes a condition and those "
                 "(inputs, outputs)",
                 formal_inputs(body), body.outputs.size());
    node.require(node.inputs() == 2 + carried + body.captured_inputs && node.outputs() <= carried + stacked,
                 "inputs or outputs do not match the body (inputs, outputs, carried, stacked)", node.inputs(), node.outputs(),
                 carried, stacked);
  }
};

// Whether `made` is what `initial`, an optional value, holds: such a loop takes nothing or something and gives something.
bool unwraps(Container initial, Container made) {
  return (initial == Container::kOptional && made == Container::kTensor) ||
         (initial == Container::kOptionalSequence && made == Container::kSequence);
}

// Of a value that each iteration makes anew only the rank and numbers can be trusted, and only if the first one agrees.
TensorType carried_type(const InferenceContext& node, TensorType initial, const TensorType& made) {
  if (unwraps(initial.container, made.container)) initial.container = made.container;
  return numbers_of(common_type(node, initial, made));
}

TensorType stacked_type(const TensorType& slice) {
  TensorType type = numbers_of(slice);
  if (type.dims) type.dims->insert(type.dims->begin(), Dim());
  return type;
}

void infer_loop(InferenceContext& node) {
  const Graph& body = body_of(node, "body");
  const LoopShape loop(node, body);
  for (int i = 0; i < loop.carried; ++i) node.set_output_type(i, carried_type(node, node.type(2 + i), output_type(body, 1 + i)));
  for (int i = 0; i < loop.stacked; ++i)
    node.set_output_type(loop.carried + i, stacked_type(output_type(body, 1 + loop.carried + i)));
}

int64_t trip_count(const EvaluateContext& node) {
  if (!node.has_input(0)) return std::numeric_limits<int64_t>::max();
  const Tensor& count = node.tensor(0);
  node.require(count.dtype() == DType::kI64 && count.elements() == 1, "a trip count must be one i64 (shape)", to_string(count.shape()));
  return count.as<int64_t>()[0];
}

// One number in the form that the body declares: a scalar, or a tensor of one element.
template <class T>
RunValue counter(const Graph& body, int input, T value) {
  const auto& dims = body.value(body.inputs[static_cast<size_t>(input)]).type.dims;
  return RunValue::of(dims && dims->size() == 1 ? Tensor::of<T>({1}, {value}) : Tensor::scalar(value));
}

void evaluate_loop(EvaluateContext& node) {
  const Graph& body = body_of(node, "body");
  const LoopShape loop(node, body);
  const auto carried = static_cast<size_t>(loop.carried);
  const int64_t trips = trip_count(node);
  bool goes_on = !node.has_input(1) || condition(node, node.input(1));
  std::vector<RunValue> values(2);
  values.insert(values.end(), node.inputs_from(2).begin(), node.inputs_from(2).end());
  std::vector<std::vector<Tensor>> stacks(static_cast<size_t>(loop.stacked));
  for (int64_t trip = 0; trip < trips && goes_on; ++trip) {
    values[0] = counter(body, 0, trip);
    values[1] = counter(body, 1, goes_on);
    std::vector<RunValue> made = node.run("body", values);
    goes_on = condition(node, made[0]);
    for (size_t i = 0; i < carried; ++i) {
      const Container taken = body.value(body.inputs[2 + i]).type.container;
      values[2 + i] = std::move(made[1 + i]);
      if (unwraps(taken, values[2 + i].container)) values[2 + i].container = taken;
    }
    for (size_t i = 0; i < stacks.size(); ++i) stacks[i].push_back(std::move(made[1 + carried + i].tensor));
  }
  for (size_t i = 0; i < carried; ++i) {
    RunValue& value = values[2 + i];
    const Container made = output_type(body, static_cast<int>(1 + i)).container;
    if (unwraps(value.container, made)) {
      node.require(value.present, "no iteration ran, and the optional value holds nothing (carried value)", i);
      value.container = made;
    }
    node.set_output(static_cast<int>(i), std::move(value));
  }
  for (size_t i = 0; i < stacks.size(); ++i)
    node.set_output(static_cast<int>(carried + i), stack(stacks[i], 0, output_type(body, static_cast<int>(1 + carried + i))));
}

constexpr OpDef loop_op = {.name = "Loop",
                           .min_inputs = 0,
                           .max_inputs = kVariadic,
                           .min_outputs = 0,
                           .max_outputs = kVariadic,
                           .attributes = kLoopAttributes,
                           .infer = infer_loop,
                           .evaluate = evaluate_loop};

constexpr const OpDef* kOps[] = {&if_op, &loop_op};

}  // namespace

extern const OpFamily control_flow_ops;
constinit const OpFamily control_flow_ops = kOps;

}  // namespace tandem
