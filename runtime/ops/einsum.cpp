// Einsum (ONNX 12). Its gradient to an input is an Einsum again: of the output's gradient and the other inputs, to the input's
// term.
#include "kernels/api/einsum.h"

#include <algorithm>

#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"equation"};

EinsumEquation equation_of(const NodeContext& node, const std::vector<int>& ranks) {
  return naming(node, [&] { return parse_einsum(node.get_string("equation", ""), ranks); });
}

void infer(InferenceContext& node) {
  std::vector<int> ranks;
  for (int i = 0; i < node.inputs(); ++i) {
    require_arithmetic(node, i);
    node.require_same_dtype(0, i);
    if (!node.has_rank(i)) return node.set_output(0, node.dtype(0), std::nullopt);
    ranks.push_back(node.rank(i));
  }
  const EinsumEquation equation = equation_of(node, ranks);
  std::vector<Dim> sizes(static_cast<size_t>(equation.indices), Dim(1));
  for (int i = 0; i < node.inputs(); ++i)
    for (size_t a = 0; a < equation.inputs[static_cast<size_t>(i)].size(); ++a) {
      Dim& known = sizes[static_cast<size_t>(equation.inputs[static_cast<size_t>(i)][a])];
      const Dim& dim = node.dims(i)[a];
      if (dim.size == 1) continue;
      node.require(known.size == 1 || !differ(known, dim), "an index has two sizes (equation, sizes)", to_string(equation),
                   to_string(Dims{known, dim}));
      // Either of two symbols may be 1, and broadcast to the other.
      known = known.size == 1 || known == dim ? dim : known.known() || dim.known() ? better(known, dim) : Dim();
    }
  Dims y;
  for (const int index : equation.output) y.push_back(sizes[static_cast<size_t>(index)]);
  node.set_output(0, node.dtype(0), std::move(y));
}

// [size, size] with ones on the diagonal.
ValueId identity_matrix(GradientContext& node, int64_t size, DType dtype) {
  return visit_float(dtype, [&]<class T>() {
    std::vector<T> ones(static_cast<size_t>(size * size), T{0});
    for (int64_t i = 0; i < size; ++i) ones[static_cast<size_t>(i * size + i)] = 1;
    return node.constant(Tensor::of<T>({size, size}, ones));
  });
}

// The gradient to input `at`. An index that it repeats gets a name of its own each time, and an identity matrix that ties it to
// the first; one that nothing else has was summed, so the gradient is the same all along it.
ValueId gradient_to(GradientContext& node, const EinsumEquation& forward, size_t at) {
  const ValueId input = node.input(static_cast<int>(at));
  const EinsumTerm& term = forward.inputs[at];
  EinsumEquation equation = {.inputs = {forward.output}, .output = {}, .indices = forward.indices};
  std::vector<ValueId> operands = {node.output_grad()};
  for (size_t i = 0; i < forward.inputs.size(); ++i)
    if (i != at) {
      equation.inputs.push_back(forward.inputs[i]);
      operands.push_back(node.input(static_cast<int>(i)));
    }
  std::vector<bool> found(static_cast<size_t>(forward.indices) + term.size());
  for (const EinsumTerm& other : equation.inputs)
    for (const int index : other) found[static_cast<size_t>(index)] = true;
  std::vector<int64_t> missing;
  for (size_t a = 0; a < term.size(); ++a) {
    const bool repeated =
        std::find(term.begin(), term.begin() + static_cast<int64_t>(a), term[a]) != term.begin() + static_cast<int64_t>(a);
    if (repeated) {
      const Dim& dim = (*node.type(input).dims)[a];
      node.require(dim.known(), "the gradient of a repeated index needs its size", to_string(forward));
      operands.push_back(identity_matrix(node, dim.size, node.type(input).dtype));
      equation.inputs.push_back({term[a], equation.indices});
      equation.output.push_back(equation.indices++);
    } else if (found[static_cast<size_t>(term[a])]) {
      equation.output.push_back(term[a]);
    } else {
      missing.push_back(static_cast<int64_t>(a));
    }
  }
  // A repeated index that was summed has its first place missing: the identity gives it.
  for (size_t i = 0; i < missing.size();) {
    const int index = term[static_cast<size_t>(missing[i])];
    if (std::ranges::count(term, index) == 1) {
      ++i;
      continue;
    }
    const auto before = std::ranges::count_if(missing, [&](int64_t m) { return m < missing[i]; });
    equation.output.insert(equation.output.begin() + missing[i] - before, index);
    missing.erase(missing.begin() + static_cast<int64_t>(i));
  }
  ValueId grad = node.emit("Einsum", operands, {{"equation", to_string(equation)}});
  if (!missing.empty()) grad = node.emit("Unsqueeze", {grad, node.ints(missing)});
  // Also where all others have size 1 along an index.
  const Dims &made = *node.type(grad).dims, &wanted = *node.type(input).dims;
  bool narrower = !missing.empty();
  for (size_t a = 0; a < wanted.size(); ++a) narrower |= made[a].size == 1 && wanted[a].size != 1;
  if (narrower) grad = node.emit("Expand", {grad, shape_of(node, input)});
  return node.reduce_to(grad, input);
}

void gradient(GradientContext& node) {
  std::vector<int> ranks;
  for (int i = 0; i < node.inputs(); ++i) ranks.push_back(rank_of(node, node.input(i)));
  const EinsumEquation forward = equation_of(node, ranks);
  for (int i = 0; i < node.inputs(); ++i)
    if (node.wants(i)) node.set_input_grad(i, gradient_to(node, forward, static_cast<size_t>(i)));
}

BoundKernel bind(const BindContext& node) {
  std::vector<int> ranks;
  std::vector<ConstTensorView> largest;
  for (int i = 0; i < node.inputs(); ++i) {
    ranks.push_back(node.rank(i));
    largest.push_back({nullptr, node.dtype(i), node.shape(i)});
  }
  const EinsumEquation equation = equation_of(node, ranks);
  return {.run = [=](const KernelContext& context, Inputs in, Outputs out) { cpu::einsum(context, equation, in, out[0]); },
          .workspace = naming(node, [&] { return cpu::einsum_workspace(equation, largest, node.threads()); })};
}

constexpr OpDef einsum_op = {
    .name = "Einsum",
    .since = 12,
    .max_inputs = kVariadic,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
};

constexpr const OpDef* kOps[] = {&einsum_op};

}  // namespace

extern const OpFamily einsum_ops;
constinit const OpFamily einsum_ops = kOps;

}  // namespace tandem
