// tandem.FusedAttention(q, k, v, mask?, second mask?): what passes make of an attention written out,
//
//   Transpose(softmax(cap(scale * Transpose(q) Transpose(k)^T), masked) Transpose(v))
//
// with everything that the written out one does: NumPy's broadcasting, up to 4 axes, and rows whose softmax is NaN. A float mask
// is added; a bool one puts `hidden` in place of scores where it is false (with mask_hides: true). A head of K and V may serve a
// group of heads of Q. softcap c: s -> c tanh(s / c). nan_guard: rows whose softmax is NaN give 0. The perms are those of the Transposes.
//
// tandem.Bf16Attention is the same of q, k, v and y in bf16, with float masks in f32: by the pass bf16_storage.
#include "kernels/api/attention.h"
#include "kernels/api/bf16_rows.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"hidden", "k_perm", "mask_hides", "nan_guard", "q_perm", "scale", "softcap", "v_perm", "y_perm"};

enum Input { kQ, kK, kV, kMask, kSecondMask, kInputs };

AttentionOptions options_of(const NodeContext& node) {
  AttentionOptions options;
  options.scale = static_cast<double>(node.get_float("scale", 1));
  options.softcap = static_cast<double>(node.get_float("softcap", 0));
  options.hidden = static_cast<double>(node.get_float("hidden", -std::numeric_limits<float>::infinity()));
  options.mask_hides = node.get_int("mask_hides", 0) != 0;
  options.undefined = node.get_int("nan_guard", 0) != 0 ? UndefinedRows::kZero : UndefinedRows::kNan;
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

void infer(InferenceContext& node) {
  options_of(node);
  require_float(node, kQ);
  for (int i : {kK, kV}) node.require_same_dtype(kQ, i);
  bool ranked = true;
  for (int i = kQ; i <= kSecondMask; ++i) {
    if (!node.has_input(i)) continue;
    if (i >= kMask && node.dtype(i) == DType::kF32 && node.node().def->name == "Bf16Attention") node.require_dtype(kQ, DType::kBF16);
    else if (i >= kMask && node.dtype(i) != DType::kBool) node.require_same_dtype(kQ, i);
    ranked = ranked && node.has_rank(i);
  }
  if (!ranked) return node.set_output(0, node.dtype(kQ), std::nullopt);
  const size_t rank = node.dims(kQ).size();
  node.require(rank >= 2 && rank <= 4 && node.dims(kK).size() == rank && node.dims(kV).size() == rank, "Q, K and V must have one rank, 2 to 4",
               to_string(node.dims(kQ)), to_string(node.dims(kK)), to_string(node.dims(kV)));
  const Dims q = permuted(node, "q_perm", node.dims(kQ)), k = permuted(node, "k_perm", node.dims(kK)),
             v = permuted(node, "v_perm", node.dims(kV));
  // Heads of K and V in groups do not broadcast: those of Q say how many there are.
  const auto leading = [&](const Dims& dims, bool keys) {
    Dims front(dims.begin(), dims.end() - 2);
    if (keys && rank == 4 && q[1].size != 1) front[1] = Dim(1);
    return front;
  };
  Dims y = *node.broadcast_dims(leading(q, false), node.broadcast_dims(leading(k, true), leading(v, true)));
  y.insert(y.end(), {q[rank - 2], Dim(1)});
  for (int i : {kMask, kSecondMask}) {
    if (!node.has_input(i)) continue;
    Dims mask = node.dims(i);
    node.require(mask.size() <= rank, "a mask must not have more axes than Q (mask)", to_string(mask));
    if (!mask.empty()) mask.back() = Dim(1);
    y = *node.broadcast_dims(y, mask);
  }
  y.back() = v.back();
  node.set_output(0, node.dtype(kQ), permuted(node, "y_perm", y));
}

template <bool in_bf16>
BoundKernel bind(const BindContext& node) {
  const AttentionOptions options = options_of(node);
  const AttentionPerms perms = perms_of(node, node.rank(kQ));
  const auto mask_shape = [&](int i) { return node.has_input(i) ? node.shape(i) : Shape(); };
  const AttentionGeometry of = naming(node, [&] {
    return broadcast_attention_geometry(perms, node.shape(kQ), node.shape(kK), node.shape(kV), mask_shape(kMask), mask_shape(kSecondMask));
  });
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    AttentionInputs views;
    views.q = in[kQ], views.k = in[kK], views.v = in[kV];
    if (in.size() > kMask) views.mask = in[kMask];
    if (in.size() > kSecondMask) views.second_mask = in[kSecondMask];
    const AttentionGeometry now = broadcast_attention_geometry(perms, views.q.shape, views.k.shape, views.v.shape, views.mask.shape,
                                                               views.second_mask.shape);
    if constexpr (in_bf16) cpu::bf16_attention(context, options, now, views, out[0]);
    else cpu::attention(context, options, now, views, {out[0], {}, {}, {}});
  };
  return {.run = run,
          .workspace = in_bf16 ? cpu::bf16_attention_workspace(of, node.threads()) : cpu::attention_workspace(node.dtype(kQ), of, false, node.threads())};
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
    .cpu = bind<false>,
    .flops = flops,
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

constexpr const OpDef* kOps[] = {&fused_attention_op, &bf16_attention_op};

}  // namespace

extern const OpFamily fused_attention_ops;
constinit const OpFamily fused_attention_ops = kOps;

}  // namespace tandem
