// TopK: k as an attribute (ONNX 1), as an input (10), with the choice of the smallest (11 on; 24 adds types). The result is in
// order whether `sorted` asks for it or not.
#include "kernels/api/top_k.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes1[] = {"axis", "k"}, kAttributes10[] = {"axis"},
                           kAttributes11[] = {"axis", "largest", "sorted"};

// How many are wanted; unknown if the graph does not tell.
Dim wanted(const InferenceContext& node) {
  if (node.inputs() == 1) {
    node.require(node.has_attribute("k"), "the attribute k is required");
    return Dim(node.get_int("k", 0));
  }
  node.require_dtype(1, DType::kI64);
  const auto content = node.content(1);
  if (!content) return {};
  node.require(content->size() == 1, "k must be one number (elements)", content->size());
  if (node.constant(1)) node.require((*content)[0].size >= 0, "k must not be negative", (*content)[0].size);
  return (*content)[0];
}

void infer(InferenceContext& node) {
  node.require_number(0);
  const Dim k = wanted(node);
  std::optional<Dims> dims;
  if (node.has_rank(0)) {
    dims = node.dims(0);
    Dim& length = (*dims)[static_cast<size_t>(node.normalized_axis(node.get_int("axis", -1), node.rank(0)))];
    node.require(node.inputs() > 1 || k.known(), "k must not be negative", k.size);
    node.require(!k.known() || !length.known() || k.size <= length.size,
                 "the axis has fewer elements than are wanted (k, elements)", k.size, length.size);
    length = k;
  }
  node.set_output(0, node.dtype(0), dims);
  node.set_output(1, DType::kI64, std::move(dims));
}

BoundKernel bind(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", -1), node.rank(0));
  const int64_t k = node.output_shape(node.has_output(0) ? 0 : 1)[axis];
  return {.run = [axis, largest = node.get_int("largest", 1) != 0](
                     const KernelContext& context, Inputs in,
                     Outputs out) { cpu::top_k(context, in[0], axis, largest, out[0], out[1]); },
          .workspace = cpu::top_k_workspace(node.dtype(0), node.shape(0)[axis], k, node.threads())};
}

void gradient(GradientContext& node) {
  node.require(node.has_output(1), "the gradient needs the output Indices");
  const int axis = node.normalized_axis(node.get_int("axis", -1), rank_of(node, node.input(0)));
  if (!node.wants(0) || node.output_grad(0) == kNoValue) return;
  node.set_input_grad(
      0, node.emit_internal("GatherElementsGrad", {node.output_grad(0), node.output(1), shape_of(node, node.input(0))},
                            {{"axis", int64_t{axis}}}));
}

constexpr OpDef top_k(int since, int until, int inputs, std::span<const std::string_view> attributes) {
  return {.name = "TopK",
          .since = since,
          .until = until,
          .min_inputs = inputs,
          .max_inputs = inputs,
          .min_outputs = 2,
          .max_outputs = 2,
          .attributes = attributes,
          .infer = infer,
          .gradient = gradient,
          .cpu = bind,
          .host_inputs = inputs > 1 ? input_set(1) : 0};
}

constexpr OpDef top_k_op_1 = top_k(1, 10, 1, kAttributes1);
constexpr OpDef top_k_op_10 = top_k(10, 11, 2, kAttributes10);
constexpr OpDef top_k_op_11 = top_k(11, std::numeric_limits<int>::max(), 2, kAttributes11);

constexpr const OpDef* kOps[] = {&top_k_op_1, &top_k_op_10, &top_k_op_11};

}  // namespace

extern const OpFamily top_k_ops;
constinit const OpFamily top_k_ops = kOps;

}  // namespace tandem
