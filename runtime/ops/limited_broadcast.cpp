// The binary ops as they were before ONNX 7: B's shape is laid onto A's from `axis` on (at A's end by default), and only if
// `broadcast` says so. Behind B's last axis this is today's op with B seen under more axes of 1, so all of it is borrowed from
// there.
#include <array>

#include "runtime/ops/all_ops.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis", "broadcast"};

// How many axes of A stand behind B's last one.
int axes_behind(const NodeContext& node, int rank, int rank_b) {
  if (!node.get_int("broadcast", 0) || !node.has_attribute("axis")) return 0;
  const int behind = rank - rank_b - node.normalized_axis(node.get_int("axis", 0), rank);
  node.require(behind >= 0, "B does not fit onto A from this axis on (axis, rank of A, rank of B)", node.get_int("axis", 0), rank,
               rank_b);
  return behind;
}

void check_fit(const InferenceContext& node) {
  const Dims &a = node.dims(0), &b = node.dims(1);
  const bool broadcasts = node.get_int("broadcast", 0) != 0;
  node.require(broadcasts ? b.size() <= a.size() : b.size() == a.size(), "the shapes do not fit without broadcast = 1 (A, B)",
               to_string(a), to_string(b));
  const size_t first = a.size() - b.size() - static_cast<size_t>(axes_behind(node, node.rank(0), node.rank(1)));
  for (size_t i = 0; i < b.size(); ++i)
    node.require(!differ(a[first + i], b[i]) || (broadcasts && b[i] == Dim(1)), "the shapes do not fit (A, B)", to_string(a),
                 to_string(b));
}

void infer(InferenceContext& node) {
  node.require_same_dtype(0, 1);
  if (node.has_rank(0) && node.has_rank(1)) check_fit(node);
  const std::string_view op = node.node().def->name;
  const bool answers = op == "Equal" || op == "Less" || op == "Greater";
  node.set_output(0, answers ? DType::kBool : node.dtype(0), node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}

template <auto device>
BoundKernel bind(const BindContext& node) {
  BoundKernel today = (newest_op(node.node().def->name).*device)(node);
  const int behind = axes_behind(node, node.rank(0), node.rank(1));
  today.run = [behind, run = std::move(today.run)](const KernelContext& context, Inputs in, Outputs out) {
    std::array<ConstTensorView, 2> operands = {in[0], in[1]};
    for (int i = 0; i < behind; ++i) operands[1].shape.push_back(1);
    run(context, operands, out);
  };
  return today;
}

void gradient(GradientContext& node) {
  const int rank_b = rank_of(node, node.input(1)), behind = axes_behind(node, rank_of(node, node.input(0)), rank_b);
  Node today = node.node();
  const OpDef& def = newest_op(today.def->name);
  today.def = &def;
  today.attributes.clear();
  std::vector<int64_t> axes;
  for (int i = 0; i < behind; ++i) axes.push_back(rank_b + i);
  if (behind) today.inputs[1] = node.emit("Unsqueeze", {node.input(1), node.ints(axes)});
  GradientContext inner(node.graph(), std::move(today), {node.output_grad()}, {node.wants(0), node.wants(1)});
  inner.node().def->gradient(inner);
  node.set_input_grad(0, inner.input_grads()[0]);
  if (node.wants(1))
    node.set_input_grad(1, behind ? reshape_like(node, inner.input_grads()[1], node.input(1)) : inner.input_grads()[1]);
}

constexpr OpDef limited(std::string_view name, void (*grad)(GradientContext&)) {
  return {.name = name,
          .until = 7,
          .min_inputs = 2,
          .max_inputs = 2,
          .attributes = kAttributes,
          .infer = infer,
          .gradient = grad,
          .cpu = bind<&OpDef::cpu>,
          .cuda = on_cuda(bind<&OpDef::cuda>)};
}

constexpr OpDef add_op = limited("Add", gradient);
constexpr OpDef sub_op = limited("Sub", gradient);
constexpr OpDef mul_op = limited("Mul", gradient);
constexpr OpDef div_op = limited("Div", gradient);
constexpr OpDef pow_op = limited("Pow", gradient);
constexpr OpDef and_op = limited("And", nullptr);
constexpr OpDef or_op = limited("Or", nullptr);
constexpr OpDef xor_op = limited("Xor", nullptr);
constexpr OpDef equal_op = limited("Equal", nullptr);
constexpr OpDef less_op = limited("Less", nullptr);
constexpr OpDef greater_op = limited("Greater", nullptr);

constexpr const OpDef* kOps[] = {&add_op, &sub_op, &mul_op,   &div_op,  &pow_op,    &and_op,
                                 &or_op,  &xor_op, &equal_op, &less_op, &greater_op};

}  // namespace

extern const OpFamily limited_broadcast_ops;
constinit const OpFamily limited_broadcast_ops = kOps;

}  // namespace tandem
