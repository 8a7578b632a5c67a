// OneHot (ONNX 9 on): indices, depth, [off, on] -> one more axis of size depth. Depth may be computed by the graph from shapes.
#include "kernels/api/convert.h"
#include "kernels/api/movement.h"
#include "kernels/base/dtype_families.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis"};

Dim depth_of(const InferenceContext& node) {
  if (const Tensor* depth = node.constant(1)) {
    node.require(depth->elements() == 1, "depth must be one number; its shape", to_string(depth->shape()));
    const int64_t value = visit_convertible(depth->dtype(), [&]<class T>() { return convert<int64_t>(depth->as<T>()[0]); });
    node.require(value >= 1, "depth must be at least 1", value);
    return Dim(value);
  }
  const auto content = node.content(1);
  return content && content->size() == 1 ? (*content)[0] : Dim();
}

void infer(InferenceContext& node) {
  require_arithmetic(node, 0);
  if (node.has_rank(2))
    node.require(!differ(product(node.dims(2)), Dim(int64_t{2})), "values must be [off, on]; their shape",
                 to_string(node.dims(2)));
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(2), std::nullopt);
  Dims dims = node.dims(0);
  dims.insert(dims.begin() + node.normalized_axis(node.get_int("axis", -1), node.rank(0) + 1), depth_of(node));
  node.set_output(0, node.dtype(2), std::move(dims));
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", -1), node.rank(0) + 1);
  return {.run = [axis](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], in[2], axis, out[0]); }};
}

constexpr OpDef one_hot_op = {.name = "OneHot",
                              .since = 9,
                              .min_inputs = 3,
                              .max_inputs = 3,
                              .attributes = kAttributes,
                              .infer = infer,
                              .cpu = bind<cpu::one_hot>,
                              .cuda = on_cuda(bind<cuda::one_hot>),
                              .shape_inputs = input_set(1)};

constexpr const OpDef* kOps[] = {&one_hot_op};

}  // namespace

extern const OpFamily one_hot_ops;
constinit const OpFamily one_hot_ops = kOps;

}  // namespace tandem
