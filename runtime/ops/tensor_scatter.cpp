// TensorScatter (ONNX 24): rows of a key or value cache are replaced, from a position of each batch on. In place where the plan
// allows.
#include "kernels/api/tensor_scatter.h"

#include "runtime/graph/contexts.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis", "mode"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

int axis_of(const NodeContext& node, int rank) {
  const int axis = node.normalized_axis(node.get_int("axis", -2), rank);
  node.require(axis > 0, "axis must not be that of the batch", axis);
  return axis;
}

bool is_circular(const NodeContext& node) {
  const std::string mode = node.get_string("mode", "linear");
  node.require(mode == "linear" || mode == "circular", "mode must be linear or circular", mode);
  return mode == "circular";
}

void infer(InferenceContext& node) {
  is_circular(node);
  node.require_same_dtype(0, 1);
  if (node.has_input(2)) node.require_dtype(2, DType::kI64);
  if (node.has_rank(0) && node.has_rank(1)) {
    const Dims &cache = node.dims(0), &update = node.dims(1);
    const auto axis = static_cast<size_t>(axis_of(node, node.rank(0)));
    bool fits = cache.size() == update.size();
    for (size_t i = 0; fits && i < cache.size(); ++i)
      fits =
          i == axis ? !cache[i].known() || !update[i].known() || update[i].size <= cache[i].size : !differ(cache[i], update[i]);
    node.require(fits, "update must have the shape of the cache, but for a sequence of at most its length (cache, update)",
                 to_string(cache), to_string(update));
  }
  node.set_output_like(0, 0);
}

BoundKernel bind(const BindContext& node) {
  const int axis = axis_of(node, node.rank(0));
  const bool circular = is_circular(node);
  return {.run = [=](const KernelContext& context, Inputs in, Outputs out) {
    cpu::tensor_scatter(context, in[0], in[1], in.size() > 2 ? in[2] : ConstTensorView{}, axis, circular, out[0]);
  }};
}

constexpr OpDef tensor_scatter_op = {
    .name = "TensorScatter",
    .since = 24,
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .cpu = bind,
    .elements = Elements::kMoved,
    .aliases = kInPlace,
};

constexpr const OpDef* kOps[] = {&tensor_scatter_op};

}  // namespace

extern const OpFamily tensor_scatter_ops;
constinit const OpFamily tensor_scatter_ops = kOps;

}  // namespace tandem
