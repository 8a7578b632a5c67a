// tandem.FusedAttention(q, k, v, mask?, second mask?): what passes make of an attention written out,
//
//   Transpose(softmax(cap(scale * Transpose(q) Transpose(k)^T), masked) Transpose(v))
//
// with everything that the written out one does: NumPy's broadcasting, up to 4 axes, and rows whose softmax is NaN. A float mask
// is added; a bool one puts `hidden` in place of scores where it is false (with mask_hides: true). A head of K and V may serve a
// group of heads of Q. With mask_cycles a mask's first of four axes need only divide that of the scores: it begins again. softcap c: s -> c tanh(s / c). nan_guard: rows whose softmax is NaN give 0. The perms are those of the Transposes.
//
// tandem.FusedAttentionGrad(dy, q, k, v, mask?, second mask?) has the gradients of q, k and v, each as its operand lies in memory but stretched to
// all that it is broadcast to, and, if asked for, those of the masked scores, [batch, heads, queries, keys].
//
// Those two take `precision` (product_precision.h): all their products round what they read, probabilities and their gradients too.
//
// tandem.Bf16Attention is the same of q, k, v and y in bf16, with float masks in f32: by the pass bf16_storage.
#include "kernels/api/attention.h"
#include "kernels/api/bf16_rows.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/product_precision.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"hidden", "k_perm", "mask_cycles", "mask_hides", "nan_guard", kProductPrecision, "q_perm", "scale",
                                            "softcap", "v_perm", "y_perm"};

enum Input { kQ, kK, kV, kMask, kSecondMask, kInputs };

bool masks_cycle(const NodeContext& node) { return node.get_int("mask_cycles", 0) != 0; }

AttentionOptions options_of(const NodeContext& node) {
  AttentionOptions options;
  options.scale = static_cast<double>(node.get_float("scale", 1));
  options.softcap = static_cast<double>(node.get_float("softcap", 0));
  options.hidden = static_cast<double>(node.get_float("hidden", -std::numeric_limits<float>::infinity()));
  options.mask_hides = node.get_int("mask_hides", 0) != 0;
  options.undefined = node.get_int("nan_guard", 0) != 0 ? UndefinedRows::kZero : UndefinedRows::kNan;
  options.rounded = rounds_operands(node);
  node.require(options.scale != 0 && options.softcap >= 0, "scale must not be 0, softcap not negative", options.scale, options.softcap);
  return options;
}

// The attribute, or the axes as they are.
std::vector<int64_t> perm_of(const NodeContext& node, std::string_view name, size_t rank) {
  std::vector<int64_t> perm = node.get_ints(name), axes(rank);
  std::iota(axes.begin(), axes.end(), int64_t{0});
  if (perm.empty()) return axes;
  node.require(std::ranges::is_permutation(perm, axes), "a permutation of the axes is needed (attribute, axes)", name, rank);
  return perm;
}

// With 1s in front up to 4 axes.
std::array<int, 4> padded_perm(const NodeContext& node, std::string_view name, int rank) {
  std::array<int, 4> padded{0, 1, 2, 3};
  const std::vector<int64_t> perm = perm_of(node, name, static_cast<size_t>(rank));
  const int skip = 4 - rank;
  for (int i = 0; i < rank; ++i) padded[static_cast<size_t>(skip + i)] = skip + static_cast<int>(perm[static_cast<size_t>(i)]);
  return padded;
}

AttentionPerms perms_of(const NodeContext& node, int rank) {
  return {padded_perm(node, "q_perm", rank), padded_perm(node, "k_perm", rank), padded_perm(node, "v_perm", rank),
          padded_perm(node, "y_perm", rank)};
}

Dims permuted(const NodeContext& node, std::string_view attribute, const Dims& dims) {
  Dims result;
  for (int64_t axis : perm_of(node, attribute, dims.size())) result.push_back(dims[static_cast<size_t>(axis)]);
  return result;
}

// The axes of each operand, in the order of its perm, and those of the scores; `first` is the input that is Q.
struct Operands {
  Dims q, k, v, scores;
  size_t rank() const { return q.size(); }
};

// Nothing if a rank is not known.
std::optional<Operands> operands_of(InferenceContext& node, int first) {
  for (int i = kQ; i <= kSecondMask; ++i)
    if (node.has_input(first + i) && !node.has_rank(first + i)) return std::nullopt;
  const Dims &q = node.dims(first + kQ), &k = node.dims(first + kK), &v = node.dims(first + kV);
  const size_t rank = q.size();
  node.require(rank >= 2 && rank <= 4 && k.size() == rank && v.size() == rank, "Q, K and V must have one rank, 2 to 4", to_string(q),
               to_string(k), to_string(v));
  Operands of{permuted(node, "q_perm", q), permuted(node, "k_perm", k), permuted(node, "v_perm", v), {}};
  // Heads of K and V in groups do not broadcast: those of Q say how many there are. A symbol may turn out to be 1.
  const auto leading = [&](const Dims& dims, bool keys) {
    Dims front(dims.begin(), dims.end() - 2);
    if (!keys || rank != 4 || of.q[1].size == 1) return front;
    if (of.q[1].known() || front[1] == of.q[1]) front[1] = Dim(1);
    else if (front[1].size != 1) front[1] = Dim();
    return front;
  };
  of.scores = *node.broadcast_dims(leading(of.q, false), node.broadcast_dims(leading(of.k, true), leading(of.v, true)));
  of.scores.insert(of.scores.end(), {of.q[rank - 2], *node.broadcast_dims(Dims{of.k[rank - 2]}, Dims{of.v[rank - 2]})->begin()});
  for (int i : {kMask, kSecondMask}) {
    if (!node.has_input(first + i)) continue;
    Dims mask = node.dims(first + i);
    node.require(mask.size() <= rank, "a mask must not have more axes than Q (mask)", to_string(mask));
    if (mask.size() == 4 && masks_cycle(node)) mask.front() = Dim(1);
    of.scores = *node.broadcast_dims(of.scores, mask);
  }
  return of;
}

void infer(InferenceContext& node) {
  const AttentionOptions options = options_of(node);
  require_float(node, kQ);
  node.require(!options.rounded || node.dtype(kQ) == DType::kF32, "operands that are rounded must be f32 (dtype)", name(node.dtype(kQ)));
  for (int i : {kK, kV}) node.require_same_dtype(kQ, i);
  for (int i : {kMask, kSecondMask}) {
    if (!node.has_input(i)) continue;
    if (node.dtype(i) == DType::kF32 && node.node().def->name == "Bf16Attention") node.require_dtype(kQ, DType::kBF16);
    else if (node.dtype(i) != DType::kBool) node.require_same_dtype(kQ, i);
  }
  const std::optional<Operands> of = operands_of(node, 0);
  if (!of) return node.set_output(0, node.dtype(kQ), std::nullopt);
  Dims y = of->scores;
  y.back() = of->v.back();
  node.set_output(0, node.dtype(kQ), permuted(node, "y_perm", y));
}

// As it lies in memory.
Dims restored(const NodeContext& node, std::string_view attribute, const Dims& dims) {
  const std::vector<int64_t> perm = perm_of(node, attribute, dims.size());
  Dims result(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) result[static_cast<size_t>(perm[i])] = dims[i];
  return result;
}

void infer_grad(InferenceContext& node) {
  const DType dtype = node.dtype(0);
  for (int i : {kQ, kK, kV}) node.require_same_dtype(0, 1 + i);
  const std::optional<Operands> of = operands_of(node, 1);
  if (!of) {
    for (int i = 0; i < 4; ++i) node.set_output(i, dtype, std::nullopt);
    return;
  }
  const size_t rank = of->rank();
  const Dim queries = of->scores[rank - 2], keys = of->scores[rank - 1];
  Dims front(of->scores.begin(), of->scores.end() - 2), key_front = front;
  if (rank >= 3) key_front.back() = node.broadcast_dims(Dims{of->k[rank - 3]}, Dims{of->v[rank - 3]})->front();
  const auto matrix = [](Dims leading, const Dim& rows, const Dim& columns) {
    leading.insert(leading.end(), {rows, columns});
    return leading;
  };
  node.set_output(0, dtype, restored(node, "q_perm", matrix(front, queries, of->q.back())));
  node.set_output(1, dtype, restored(node, "k_perm", matrix(key_front, keys, of->k.back())));
  node.set_output(2, dtype, restored(node, "v_perm", matrix(key_front, keys, of->v.back())));
  node.set_output(3, dtype, of->scores);
}

void gradient(GradientContext& node) {
  const auto float_mask = [&](int i) { return node.wants(i) && node.type(node.input(i)).dtype != DType::kBool; };
  const bool masks = float_mask(kMask) || float_mask(kSecondMask);
  std::vector<ValueId> inputs = {node.output_grad()};
  for (int i = 0; i < node.inputs(); ++i) inputs.push_back(node.input(i));
  const auto grads = node.emit_many("FusedAttentionGrad", inputs, masks ? 4 : 3, node.node().attributes, "tandem");
  for (int i : {kQ, kK, kV})
    if (node.wants(i)) node.set_input_grad(i, node.reduce_to(grads[static_cast<size_t>(i)], node.input(i)));
  if (!masks) return;
  node.require(!masks_cycle(node), "no gradient is defined of masks that begin again");
  ValueId scores = grads[3];
  if (float_mask(kSecondMask)) node.set_input_grad(kSecondMask, node.reduce_to(scores, node.input(kSecondMask)));
  if (!float_mask(kMask)) return;
  if (node.has_input(kSecondMask) && node.type(node.input(kSecondMask)).dtype == DType::kBool) {
    const ValueId zero = node.scalar(0, node.type(scores).dtype);
    const bool hides = node.get_int("mask_hides", 0) != 0;
    scores = node.emit("Where", {node.input(kSecondMask), hides ? zero : scores, hides ? scores : zero});
  }
  node.set_input_grad(kMask, node.reduce_to(scores, node.input(kMask)));
}

// Sizes at the shapes that `shape` tells of inputs, by number; the first is Q.
template <class ShapeOf>
AttentionGeometry geometry_of(const AttentionPerms& perms, bool cycles, ShapeOf shape) {
  return broadcast_attention_geometry(perms, shape(kQ), shape(kK), shape(kV), shape(kMask), shape(kSecondMask), cycles);
}

AttentionInputs inputs_of(Inputs in) {
  AttentionInputs views;
  views.q = in[kQ], views.k = in[kK], views.v = in[kV];
  if (in.size() > kMask) views.mask = in[kMask];
  if (in.size() > kSecondMask) views.second_mask = in[kSecondMask];
  return views;
}

template <bool in_bf16>
BoundKernel bind(const BindContext& node) {
  const AttentionOptions options = options_of(node);
  const AttentionPerms perms = perms_of(node, node.rank(kQ));
  const bool cycles = masks_cycle(node);
  const AttentionGeometry of =
      naming(node, [&] { return geometry_of(perms, cycles, [&](int i) { return node.has_input(i) ? node.shape(i) : Shape(); }); });
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const AttentionInputs views = inputs_of(in);
    const AttentionGeometry now = geometry_of(perms, cycles, [&](int i) { return static_cast<size_t>(i) < in.size() ? in[static_cast<size_t>(i)].shape : Shape(); });
    if constexpr (in_bf16) cpu::bf16_attention(context, options, now, views, out[0]);
    else cpu::attention(context, options, now, views, {out[0], {}, {}, {}});
  };
  return {.run = run,
          .workspace = in_bf16 ? cpu::bf16_attention_workspace(of, node.threads()) : cpu::attention_workspace(node.dtype(kQ), of, false, node.threads(), options.rounded)};
}

BoundKernel bind_grad(const BindContext& node) {
  const AttentionOptions options = options_of(node);
  const AttentionPerms perms = perms_of(node, node.rank(1 + kQ));
  const bool cycles = masks_cycle(node);
  const AttentionGeometry of =
      naming(node, [&] { return geometry_of(perms, cycles, [&](int i) { return node.has_input(1 + i) ? node.shape(1 + i) : Shape(); }); });
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const AttentionInputs views = inputs_of(in.subspan(1));
    const AttentionGeometry now = geometry_of(
        perms, cycles, [&](int i) { return 1 + static_cast<size_t>(i) < in.size() ? in[1 + static_cast<size_t>(i)].shape : Shape(); });
    const AttentionGeometry grads =
        broadcast_attention_geometry(perms, out[0].shape, out[1].shape, out[2].shape, views.mask.shape, views.second_mask.shape, cycles);
    cpu::attention_grad(context, options, now, grads, views, in[0], {out[0], out[1], out[2], out.size() > 3 ? out[3] : TensorView{}});
  };
  return {.run = run, .workspace = cpu::attention_grad_workspace(node.dtype(0), of, node.threads(), options.rounded)};
}

// The scores again, dP, and the products for dQ, dK and dV.
double grad_flops(const BindContext& node) {
  const AttentionPerms perms = perms_of(node, node.rank(1 + kQ));
  const AttentionGeometry of = geometry_of(perms, masks_cycle(node), [&](int i) { return node.has_input(1 + i) ? node.shape(1 + i) : Shape(); });
  return 2.0 * static_cast<double>(of.batch * of.query_heads * of.queries) * static_cast<double>(of.keys) *
         static_cast<double>(3 * of.head_size + 2 * of.value_size);
}

double flops(const BindContext& node) {
  const std::vector<int64_t> perm = perm_of(node, "k_perm", static_cast<size_t>(node.rank(kK)));
  const Shape &y = node.output_shape(0), &k = node.shape(kK);
  const int64_t keys = k[static_cast<int>(perm[perm.size() - 2])], head_size = k[static_cast<int>(perm.back())];
  const double rows = static_cast<double>(y.elements()) / static_cast<double>(std::max<int64_t>(1, y[y.rank() - 1]));
  return 2.0 * rows * static_cast<double>(keys) * static_cast<double>(head_size + y[y.rank() - 1]);
}

constexpr OpDef fused_attention_op = {
    .name = "FusedAttention",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = kInputs,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind<false>,
    .flops = flops,
};

constexpr OpDef fused_attention_grad_op = {
    .name = "FusedAttentionGrad",
    .domain = "tandem",
    .min_inputs = 4,
    .max_inputs = 1 + kInputs,
    .min_outputs = 3,
    .max_outputs = 4,
    .attributes = kAttributes,
    .infer = infer_grad,
    .cpu = bind_grad,
    .flops = grad_flops,
};

constexpr OpDef bf16_attention_op = {
    .name = "Bf16Attention",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = kInputs,
    .attributes = kAttributes,
    .infer = infer,
    .cpu = bind<true>,
    .elements = Elements::kConverted,
    .flops = flops,
};

constexpr const OpDef* kOps[] = {&fused_attention_op, &fused_attention_grad_op, &bf16_attention_op};

}  // namespace

extern const OpFamily fused_attention_ops;
constinit const OpFamily fused_attention_ops = kOps;

}  // namespace tandem
