// Where (ONNX 9): y = condition ? a : b with broadcasting, strings too.
#include "kernels/api/elementwise.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/gradient_context.h"

namespace tandem {
namespace {

constexpr Alias kInPlace[] = {{.input = 1, .output = 0}, {.input = 2, .output = 0}};

void infer_where(InferenceContext& node) {
  node.require_dtype(0, DType::kBool);
  node.require_same_dtype(1, 2);
  const auto dims_of = [&](int i) { return node.has_rank(i) ? std::optional(node.dims(i)) : std::nullopt; };
  node.set_output(0, node.dtype(1), node.broadcast_dims(dims_of(0), node.broadcast_dims(1, 2)));
  // A choice between lists of sizes.
  const auto chosen = node.content(0), a = node.content(1), b = node.content(2);
  if (node.dtype(1) != DType::kI64 || !chosen || !a || !b || a->size() != chosen->size() || b->size() != chosen->size()) return;
  Dims sizes;
  for (size_t i = 0; i < chosen->size(); ++i) {
    if (!(*chosen)[i].known()) return;
    sizes.push_back((*chosen)[i].size != 0 ? (*a)[i] : (*b)[i]);
    if (!sizes.back().known() && sizes.back().symbol.empty()) return;
  }
  if (node.has_rank(0) && node.rank(0) == 1) node.set_content(0, std::move(sizes));
}

void where_gradient(GradientContext& node) {
  const ValueId zero = node.scalar(0, node.type(node.output(0)).dtype), dy = node.output_grad(), condition = node.input(0);
  if (node.wants(1)) node.set_input_grad(1, node.reduce_to(node.emit("Where", {condition, dy, zero}), node.input(1)));
  if (node.wants(2)) node.set_input_grad(2, node.reduce_to(node.emit("Where", {condition, zero, dy}), node.input(2)));
}

template <auto kernel>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], in[1], in[2], out[0]); }};
}

constexpr OpDef where_op = {.name = "Where",
                            .since = 9,
                            .min_inputs = 3,
                            .max_inputs = 3,
                            .infer = infer_where,
                            .gradient = where_gradient,
                            .cpu = bind<cpu::where>,
                            .cuda = on_cuda(bind<cuda::where>),
                            .elements = Elements::kMoved,
                            .aliases = kInPlace};

constexpr const OpDef* kOps[] = {&where_op};

}  // namespace

extern const OpFamily where_ops;
constinit const OpFamily where_ops = kOps;

}  // namespace tandem
