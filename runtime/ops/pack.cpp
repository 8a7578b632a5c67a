// Internal ops on flat memory: a training step keeps parameters, gradients and moments in a few long vectors.
//
// tandem.Pack(g1, ..., gn): all elements one after the other, 1-D. The planner lets producers write into their place; what still
// lies elsewhere is copied. tandem.View(flat){offset, shape}: `shape` elements from element `offset` on, without a copy.
// tandem.Assign(state, value): the state becomes `value`.
#include "kernels/api/movement.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kViewAttributes[] = {"offset", "shape"};
constexpr Alias kView[] = {{.input = 0, .output = 0, .kind = AliasKind::kView}};
constexpr Alias kReplace[] = {{.input = 0, .output = 0, .kind = AliasKind::kMust}};

void infer_pack(InferenceContext& node) {
  int64_t elements = 0;
  bool known = true;
  for (int i = 0; i < node.inputs(); ++i) {
    node.require_same_dtype(0, i);
    const Dim size = node.has_rank(i) ? product(node.dims(i)) : Dim();
    known = known && size.known();
    if (known) elements = checked_add(elements, size.size, "packed elements");
  }
  node.set_output(0, node.dtype(0), Dims{known ? Dim(elements) : Dim()});
}

int64_t pack_offset_bytes(const Graph& graph, const Node& node, int i) {
  int64_t elements = 0;
  for (int before = 0; before < i; ++before) {
    const TensorType& type = graph.value(node.inputs[static_cast<size_t>(before)]).type;
    const Dim size = type.dims ? product(*type.dims) : Dim();
    if (!size.known()) return -1;
    elements = checked_add(elements, size.size, "packed elements");
  }
  return checked_mul(elements, static_cast<int64_t>(size_of(graph.value(node.inputs[0]).type.dtype)), "packed bytes");
}

// Twins have one signature, so one binder serves both devices.
template <auto copy>
BoundKernel bind_pack(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    std::byte* place = out[0].data;
    for (const ConstTensorView& part : in) {
      copy(context, part, {place, part.dtype, part.shape});
      place += part.bytes();
    }
  }};
}

void infer_view(InferenceContext& node) {
  const Shape shape(node.get_ints("shape"));
  const int64_t end = checked_add(node.get_int("offset", 0), shape.elements(), "end of the view");
  node.require(node.get_int("offset", 0) >= 0, "offset is negative", node.get_int("offset", 0));
  if (node.has_rank(0))
    if (const Dim size = product(node.dims(0)); size.known())
      node.require(end <= size.size, "the view ends behind its tensor", end, size.size);
  node.set_output(0, node.dtype(0), to_dims(shape));
}

int64_t view_offset_bytes(const Graph& graph, const Node& node) {
  return checked_mul(NodeContext(node).get_int("offset", 0),
                     static_cast<int64_t>(size_of(graph.value(node.inputs[0]).type.dtype)), "offset of a view");
}

void infer_assign(InferenceContext& node) {
  node.require_same_dtype(0, 1);
  if (node.has_rank(0) && node.has_rank(1)) {
    const Dims &to = node.dims(0), &from = node.dims(1);
    bool fits = to.size() == from.size();
    for (size_t i = 0; fits && i < to.size(); ++i) fits = !differ(to[i], from[i]);
    node.require(fits, "state and value have different shapes", to_string(to), to_string(from));
  }
  node.set_output_like(0, 0);
}

template <auto copy>
BoundKernel bind_assign(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { copy(context, in[1], out[0]); }};
}

constexpr OpDef pack_op = {.name = "Pack",
                           .domain = "tandem",
                           .max_inputs = kVariadic,
                           .infer = infer_pack,
                           .cpu = bind_pack<cpu::copy>,
                           .cuda = on_cuda(bind_pack<cuda::copy>),
                           .elements = Elements::kMoved,
                           .placement_offset_bytes = pack_offset_bytes};
constexpr OpDef view_op = {.name = "View",
                           .domain = "tandem",
                           .attributes = kViewAttributes,
                           .infer = infer_view,
                           .aliases = kView,
                           .view_offset_bytes = view_offset_bytes};
constexpr OpDef assign_op = {.name = "Assign",
                             .domain = "tandem",
                             .min_inputs = 2,
                             .max_inputs = 2,
                             .infer = infer_assign,
                             .cpu = bind_assign<cpu::copy>,
                             .cuda = on_cuda(bind_assign<cuda::copy>),
                             .elements = Elements::kMoved,
                             .aliases = kReplace};

constexpr const OpDef* kOps[] = {&pack_op, &view_op, &assign_op};

}  // namespace

extern const OpFamily pack_ops;
constinit const OpFamily pack_ops = kOps;

}  // namespace tandem
