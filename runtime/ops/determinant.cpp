// Det (ONNX 11): the determinants of square matrices.
#include "kernels/api/determinant.h"

#include "runtime/graph/contexts.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

void infer(InferenceContext& node) {
  require_float(node, 0);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims dims = node.dims(0);
  node.require(dims.size() >= 2 && !differ(dims[dims.size() - 2], dims.back()), "input must be square matrices; its shape",
               to_string(dims));
  dims.resize(dims.size() - 2);
  node.set_output(0, node.dtype(0), std::move(dims));
}

BoundKernel bind(const BindContext& node) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cpu::determinant(context, in[0], out[0]); },
          .workspace = cpu::determinant_workspace(node.shape(0)[node.rank(0) - 1], node.threads())};
}

constexpr OpDef det_op = {.name = "Det", .since = 11, .infer = infer, .cpu = bind};

constexpr const OpDef* kOps[] = {&det_op};

}  // namespace

extern const OpFamily determinant_ops;
constinit const OpFamily determinant_ops = kOps;

}  // namespace tandem
