// Transpose: output axis a is input axis perm[a]; reversed by default.
#include "kernels/api/movement.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/index_list.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"perm"};

IndexList permutation_of(const NodeContext& node, int rank) {
  const std::vector<int64_t> given = node.get_ints("perm");
  if (!node.has_attribute("perm")) {
    IndexList reversed;
    for (int i = rank - 1; i >= 0; --i) reversed.push_back(i);
    return reversed;
  }
  node.require(static_cast<int>(given.size()) == rank, "perm needs one entry an axis (entries, rank)", given.size(), rank);
  axis_mask(node, given, rank);
  IndexList permutation;
  for (int64_t axis : given) permutation.push_back(node.normalized_axis(axis, rank));
  return permutation;
}

void infer(InferenceContext& node) {
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  const IndexList permutation = permutation_of(node, node.rank(0));
  Dims dims;
  for (size_t i = 0; i < permutation.size(); ++i) dims.push_back(node.dims(0)[static_cast<size_t>(permutation[i])]);
  node.set_output(0, node.dtype(0), std::move(dims));
}

void gradient(GradientContext& node) {
  Attributes attributes;
  if (node.has_attribute("perm")) {
    const std::vector<int64_t> given = node.get_ints("perm");
    std::vector<int64_t> inverse(given.size());
    for (size_t i = 0; i < given.size(); ++i)
      inverse[static_cast<size_t>(node.normalized_axis(given[i], static_cast<int>(given.size())))] = static_cast<int64_t>(i);
    attributes["perm"] = inverse;
  }
  node.set_input_grad(0, node.emit("Transpose", {node.output_grad()}, std::move(attributes)));
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  return {.run = [permutation = permutation_of(node, node.rank(0))](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], permutation, out[0]);
  }};
}

constexpr OpDef transpose_op = {.name = "Transpose",
                                .attributes = kAttributes,
                                .infer = infer,
                                .gradient = gradient,
                                .cpu = bind<cpu::transpose>,
                                .cuda = on_cuda(bind<cuda::transpose>),
                                .elements = Elements::kMoved};

constexpr const OpDef* kOps[] = {&transpose_op};

}  // namespace

extern const OpFamily transpose_ops;
constinit const OpFamily transpose_ops = kOps;

}  // namespace tandem
