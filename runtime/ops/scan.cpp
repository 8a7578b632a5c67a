// Scan-9 to 25 and Scan-8 (ONNX): a body that runs along an axis of its inputs, with states carried on. Scan-8 has a batch axis before the axis
// of the sequence, and may be told how long each sequence of the batch is.
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/body.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"body", "num_scan_inputs", "scan_input_axes", "scan_input_directions", "scan_output_axes",
                                            "scan_output_directions"};
constexpr std::string_view kAttributes8[] = {"body", "num_scan_inputs", "directions"};

// Node: states..., scanned..., captured... -> states..., scanned outputs... The body has the same with one slice of each.
struct ScanShape {
  int states, inputs, outputs;
  std::vector<int64_t> input_axes, input_directions, output_axes, output_directions;

  ScanShape(const NodeContext& node, const Graph& body, int first_input)
      : states(formal_inputs(body) - static_cast<int>(node.get_int("num_scan_inputs", 0))),
        inputs(static_cast<int>(node.get_int("num_scan_inputs", 0))),
        outputs(static_cast<int>(body.outputs.size()) - states) {
    node.require(inputs >= 1 && states >= 0 && outputs >= 0 && node.inputs() == first_input + formal_inputs(body) + body.captured_inputs &&
                     node.outputs() <= static_cast<int>(body.outputs.size()),
                 "inputs or outputs do not match the body (scan inputs, inputs of the body, outputs of the body)", inputs, formal_inputs(body),
                 body.outputs.size());
    const bool old = first_input == 1;
    input_axes = list(node, "scan_input_axes", inputs);
    input_directions = list(node, old ? "directions" : "scan_input_directions", inputs);
    output_axes = list(node, "scan_output_axes", outputs);
    output_directions = list(node, "scan_output_directions", outputs);
  }

  static std::vector<int64_t> list(const NodeContext& node, std::string_view name, int count) {
    std::vector<int64_t> values = node.get_ints(name);
    if (values.empty()) values.resize(static_cast<size_t>(count));
    node.require(static_cast<int>(values.size()) == count, "a list has another length than there are scan inputs or outputs", name, values.size());
    return values;
  }
};

TensorType without_dims(TensorType type) {
  type.dims.reset();
  return type;
}

// As many slices along an axis as the scan inputs have.
TensorType stacked_type(const InferenceContext& node, const TensorType& slice, int64_t axis, const Dim& length) {
  TensorType type = numbers_of(slice);
  if (!type.dims) return type;
  const int at = node.normalized_axis(axis, static_cast<int>(type.dims->size()) + 1);
  type.dims->insert(type.dims->begin() + at, length);
  return type;
}

void infer_scan(InferenceContext& node) {
  const Graph& body = body_of(node, "body");
  const ScanShape scan(node, body, 0);
  const auto& scanned = node.type(scan.states).dims;
  Dim length;
  if (scanned) length = (*scanned)[static_cast<size_t>(node.normalized_axis(scan.input_axes[0], static_cast<int>(scanned->size())))];
  for (int i = 0; i < node.outputs(); ++i)
    node.set_output_type(i, i < scan.states ? common_type(node, node.type(i), numbers_of(output_type(body, i)))
                                            : stacked_type(node, output_type(body, i), scan.output_axes[static_cast<size_t>(i - scan.states)], length));
}
void infer_scan_8(InferenceContext& node) {
  const Graph& body = body_of(node, "body");
  const ScanShape scan(node, body, 1);
  for (int i = 0; i < node.outputs(); ++i) node.set_output_type(i, without_dims(output_type(body, i)));
}

// One sequence. `values`: states, scanned tensors, captured values; the result: states, scanned outputs.
std::vector<RunValue> run_sequence(EvaluateContext& node, const Graph& body, const ScanShape& scan, std::vector<RunValue> values, int64_t length) {
  const auto states = static_cast<size_t>(scan.states), inputs = static_cast<size_t>(scan.inputs);
  std::vector<Tensor> scanned;
  std::vector<int> axes;
  for (size_t i = 0; i < inputs; ++i) {
    scanned.push_back(values[states + i].tensor);
    axes.push_back(node.normalized_axis(scan.input_axes[i], scanned[i].shape().rank()));
    if (length < 0) length = scanned[i].shape()[axes[i]];
    node.require(scanned[i].shape()[axes[i]] >= length, "scan inputs have different lengths (length, first)", scanned[i].shape()[axes[i]], length);
  }
  std::vector<std::vector<Tensor>> stacks(static_cast<size_t>(scan.outputs));
  for (int64_t step = 0; step < length; ++step) {
    for (size_t i = 0; i < inputs; ++i)
      values[states + i] = RunValue::of(slice_at(scanned[i], axes[i], scan.input_directions[i] ? length - 1 - step : step));
    std::vector<RunValue> made = node.run("body", values);
    for (size_t i = 0; i < states; ++i) values[i] = std::move(made[i]);
    for (size_t i = 0; i < stacks.size(); ++i) stacks[i].push_back(std::move(made[states + i].tensor));
  }
  values.resize(states);
  for (size_t i = 0; i < stacks.size(); ++i) {
    if (scan.output_directions[i]) std::reverse(stacks[i].begin(), stacks[i].end());
    const TensorType& slice = output_type(body, static_cast<int>(states + i));
    const int rank = 1 + (stacks[i].empty() ? static_cast<int>(slice.dims.value_or(Dims()).size()) : stacks[i][0].shape().rank());
    values.push_back(RunValue::of(stack(stacks[i], node.normalized_axis(scan.output_axes[i], rank), slice)));
  }
  return values;
}

void evaluate_scan(EvaluateContext& node) {
  const Graph& body = body_of(node, "body");
  const auto inputs = node.inputs_from(0);
  std::vector<RunValue> made = run_sequence(node, body, ScanShape(node, body, 0), {inputs.begin(), inputs.end()}, -1);
  for (size_t i = 0; i < made.size(); ++i) node.set_output(static_cast<int>(i), std::move(made[i]));
}

// A shorter sequence's outputs are filled up with zeros.
Tensor padded(const Tensor& tensor, int64_t length) {
  std::vector<int64_t> dims(tensor.shape().dims().begin(), tensor.shape().dims().end());
  if (dims[0] == length) return tensor;
  dims[0] = length;
  Tensor whole(tensor.dtype(), Shape(dims));
  std::copy_n(tensor.view().data, tensor.bytes(), whole.view().data);
  return whole;
}

void evaluate_scan_8(EvaluateContext& node) {
  const Graph& body = body_of(node, "body");
  const ScanShape scan(node, body, 1);
  const auto inputs = node.inputs_from(1);
  const auto own = static_cast<size_t>(scan.states + scan.inputs);
  const Tensor& first = node.tensor(1 + scan.states);
  node.require(first.shape().rank() >= 2, "a scan input has a batch and a sequence axis (rank)", first.shape().rank());
  const int64_t batch = first.shape()[0], longest = first.shape()[1];
  std::vector<std::vector<Tensor>> rows(body.outputs.size());
  for (int64_t row = 0; row < batch; ++row) {
    std::vector<RunValue> values(inputs.begin(), inputs.end());
    for (size_t i = 0; i < own; ++i) {
      const Tensor& whole = node.tensor(static_cast<int>(1 + i));
      node.require(whole.shape().rank() >= 1 && whole.shape()[0] == batch, "inputs have different batch sizes (shape)", to_string(whole.shape()));
      values[i] = RunValue::of(slice_at(whole, 0, row));
    }
    const int64_t length = node.has_input(0) ? node.tensor(0).as<int64_t>()[static_cast<size_t>(row)] : longest;
    node.require(length >= 0 && length <= longest, "a sequence length is out of range (length, longest)", length, longest);
    std::vector<RunValue> made = run_sequence(node, body, scan, std::move(values), length);
    for (size_t i = 0; i < made.size(); ++i)
      rows[i].push_back(i < static_cast<size_t>(scan.states) ? made[i].tensor : padded(made[i].tensor, longest));
  }
  for (size_t i = 0; i < rows.size(); ++i) node.set_output(static_cast<int>(i), stack(rows[i], 0, output_type(body, static_cast<int>(i))));
}

constexpr OpDef scan_op_8 = {.name = "Scan",
                             .since = 8,
                             .until = 9,
                             .min_inputs = 0,
                             .max_inputs = kVariadic,
                             .max_outputs = kVariadic,
                             .attributes = kAttributes8,
                             .infer = infer_scan_8,
                             .evaluate = evaluate_scan_8};
constexpr OpDef scan_op_9 = {.name = "Scan",
                             .since = 9,
                             .max_inputs = kVariadic,
                             .max_outputs = kVariadic,
                             .attributes = kAttributes,
                             .infer = infer_scan,
                             .evaluate = evaluate_scan};

constexpr const OpDef* kOps[] = {&scan_op_8, &scan_op_9};

}  // namespace

extern const OpFamily scan_ops;
constinit const OpFamily scan_ops = kOps;

}  // namespace tandem
