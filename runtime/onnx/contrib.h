// onnxruntime's own ops (domain com.microsoft) that stand for several of ONNX's, as its transformer optimizer writes them: each
// is read as those, so that it has their kernels, gradients and export. Semantics: onnxruntime, docs/ContribOperators.md.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/graph/contexts.h"
#include "runtime/graph/op_def.h"

namespace tandem {

// The window through which such an op is written as others.
class ContribContext : public NodeContext {
 public:
  ContribContext(Graph& graph, const Node& node) : NodeContext(node), graph_(graph) {}

  ValueId input(int i) const { return has_input(i) ? node_.inputs[static_cast<size_t>(i)] : kNoValue; }
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }
  DType dtype(ValueId id) const { return type(id).dtype; }
  // Throws InvalidArgument if it is not known.
  int rank(ValueId id) const;
  // -1 if it is not known; a negative axis counts from the end.
  int64_t size(ValueId id, int axis) const;
  // Throws InvalidArgument naming the first of these inputs (by number) that is absent.
  void need_inputs(std::initializer_list<int> inputs) const;
  // Throws InvalidArgument naming the inputs that are there but have no form here.
  void refuse_inputs(std::initializer_list<int> inputs) const;
  void refuse_outputs(std::initializer_list<int> outputs) const;
  // The same for an attribute with another value than that.
  void refuse_attribute(std::string_view name, int64_t but) const;

  std::vector<ValueId> emit_many(std::string_view op, std::vector<ValueId> inputs, int outputs, Attributes attributes = {},
                                 std::string_view domain = "");
  ValueId emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}, std::string_view domain = "") {
    return emit_many(op, std::move(inputs), 1, std::move(attributes), domain)[0];
  }
  ValueId constant(Tensor content);
  ValueId scalar(double value, DType dtype);
  ValueId ints(std::vector<int64_t> values) {
    return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }

  ValueId cast(ValueId x, DType to) { return dtype(x) == to ? x : emit("Cast", {x}, {{"to", static_cast<int64_t>(to)}}); }
  // The sum of those that are there.
  ValueId sum(std::initializer_list<ValueId> terms);
  ValueId reshape(ValueId x, std::vector<int64_t> shape) { return emit("Reshape", {x, ints(std::move(shape))}); }
  ValueId transpose(ValueId x, std::vector<int64_t> perm) { return emit("Transpose", {x}, {{"perm", std::move(perm)}}); }
  ValueId unsqueeze(ValueId x, std::vector<int64_t> axes) { return emit("Unsqueeze", {x, ints(std::move(axes))}); }
  // Elements [from, to) along an axis.
  ValueId slice(ValueId x, int64_t axis, int64_t from, int64_t to);
  std::vector<ValueId> split(ValueId x, int64_t axis, std::vector<int64_t> sizes);
  // The size along an axis (not negative) as i64: a constant if it is known. `as_list`: of shape [1], else a scalar.
  ValueId size_value(ValueId x, int64_t axis, bool as_list = false);
  // 0, 1, ... below the scalar.
  ValueId range(ValueId end) { return emit("Range", {scalar(0, DType::kI64), end, scalar(1, DType::kI64)}); }

  // Makes `value` output i of the op; nothing if nobody wants that output.
  void set_output(int i, ValueId value);

 private:
  Graph& graph_;
};

struct ContribOp {
  OpDef def;  // name, domain, arity and attributes; in no list of kernels
  void (*expand)(ContribContext&);
};
inline void infer_nothing(InferenceContext&) {}  // the nodes it stands for have rules of their own

constexpr ContribOp contrib_op(std::string_view name, int least_inputs, int most_inputs, int outputs, std::span<const std::string_view> attributes,
                               void (*expand)(ContribContext&), std::string_view domain = "com.microsoft") {
  return {{.name = name,
           .domain = domain,
           .min_inputs = least_inputs,
           .max_inputs = most_inputs,
           .max_outputs = outputs,
           .attributes = attributes,
           .infer = infer_nothing},
          expand};
}

// Null if there is none of that name.
const ContribOp* find_contrib_op(std::string_view domain, std::string_view name);
// Appends what `node` stands for. REQUIRES: node.def is that of a ContribOp; its outputs are values of the graph without a type.
// Throws InvalidArgument naming the node for inputs and attributes that have no form in ONNX.
void expand_contrib(Graph& graph, const ContribOp& op, const Node& node);

using ContribFamily = std::span<const ContribOp>;
extern const ContribFamily contrib_activation_ops, contrib_normalization_ops, contrib_attention_ops, contrib_group_query_ops,
    contrib_tensor_ops, contrib_fused_ops, contrib_quantized_ops, contrib_map_ops;

// Whether a map that the op reads is two inputs of it: its keys, then its values.
bool takes_maps(const OpDef& def);

}  // namespace tandem
