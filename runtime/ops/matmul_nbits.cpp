// onnxruntime's MatMulNBits (domain com.microsoft): a product with weights of 2, 4 or 8 bits in blocks
// (kernels/api/block_weights.h).
//
//   MatMulNBits(A, B, scales, zero_points?, g_idx?, bias?) {K, N, bits, block_size}
//
// Not supported, and refused: weights in an order of their own (g_idx). accuracy_level is a hint, which nothing here needs. Spec:
// docs/ContribOperators.md of onnxruntime.
#include "kernels/api/block_weights.h"

#include "kernels/base/checked.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"K", "N", "accuracy_level", "bits", "block_size", "weight_prepacked"};
constexpr int64_t kMostSize = int64_t{1} << 31, kLeastBlock = 16;

BlockWeights sizes_of(const NodeContext& node) {
  BlockWeights w;
  w.n = node.get_int("N", 0), w.k = node.get_int("K", 0);
  w.bits = node.get_int("bits", 4), w.block_size = node.get_int("block_size", 32);
  node.require(w.n > 0 && w.k > 0 && w.n < kMostSize && w.k < kMostSize, "K and N must be positive (K, N)", w.k, w.n);
  node.require(w.bits == 2 || w.bits == 4 || w.bits == 8, "weights must have 2, 4 or 8 bits", w.bits);
  node.require(w.block_size >= kLeastBlock && w.block_size < kMostSize && (w.block_size & (w.block_size - 1)) == 0,
               "block_size must be a power of two of at least 16", w.block_size);
  return w;
}

void require_elements(const InferenceContext& node, int i, int64_t wanted) {
  const auto shape = node.has_rank(i) ? fixed_shape(node.dims(i)) : std::nullopt;
  node.require(!shape || shape->elements() == wanted, "input has the wrong number of elements (input, shape, wanted)", i,
               shape ? to_string(*shape) : "", wanted);
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  node.require_dtype(1, DType::kU8);
  node.require_same_dtype(2, 0);
  node.require(!node.has_input(4), "g_idx, an order of the weights of their own, is not supported");
  node.require(node.get_int("weight_prepacked", 0) == 0,
               "weights in the layout of another machine are not supported (weight_prepacked)");
  const BlockWeights w = sizes_of(node);
  const int64_t blocks = checked_mul(w.n, w.blocks(), "blocks of a weight");
  require_elements(node, 1, checked_mul(blocks, w.block_size * w.bits / 8, "bytes of a weight"));
  require_elements(node, 2, blocks);
  if (node.has_input(3)) {
    const bool packed = node.dtype(3) == DType::kU8;
    if (!packed) node.require_same_dtype(3, 0);
    require_elements(node, 3, packed ? w.n * ceil_div(w.blocks() * w.bits, 8) : blocks);
  }
  if (node.has_input(5)) {
    node.require_same_dtype(5, 0);
    require_elements(node, 5, w.n);
  }
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims dims = node.dims(0);
  node.require(!dims.empty() && (!dims.back().known() || dims.back().size == w.k),
               "the last axis of A must have K elements (shape, K)", to_string(dims), w.k);
  dims.back() = Dim(w.n);
  node.set_output(0, node.dtype(0), std::move(dims));
}

BoundKernel bind(const BindContext& node) {
  const BlockWeights sizes = sizes_of(node);
  const int64_t rows = node.output_shape(0).elements() / sizes.n;
  return {.run =
              [sizes](const KernelContext& context, Inputs in, Outputs out) {
                const auto input = [&](size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; };
                BlockWeights w = sizes;
                w.q = in[1], w.scale = in[2], w.zero = input(3);
                cpu::block_matmul(context, in[0], w, input(5), out[0]);
              },
          .workspace = cpu::block_matmul_workspace_bytes(sizes, rows, node.threads())};
}

double flops(const BindContext& node) {
  return 2.0 * static_cast<double>(node.output_shape(0).elements()) * static_cast<double>(node.get_int("K", 0));
}

constexpr OpDef matmul_nbits_op = {.name = "MatMulNBits",
                                   .domain = "com.microsoft",
                                   .min_inputs = 3,
                                   .max_inputs = 6,
                                   .attributes = kAttributes,
                                   .infer = infer,
                                   .cpu = bind,
                                   .flops = flops};

constexpr const OpDef* kOps[] = {&matmul_nbits_op};

}  // namespace

extern const OpFamily matmul_nbits_ops;
constinit const OpFamily matmul_nbits_ops = kOps;

}  // namespace tandem
