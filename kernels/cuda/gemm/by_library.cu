// Products by cuBLASLt, with what it cannot fuse done in place afterwards.
//
// The slope of ReLU is an epilogue that reads a mask of bits (DRELU). The mask is made here, from what ReLU saved, rather than by
// the forward product: then no graph has to carry it, whoever made the forward pass, and it costs one reading of `saved`, where
// finishing in place costs three passes. The slope of the GELU by tanh reads GELU's input as it is (DGELU); sums of an operand
// come out of the product itself (BGRADA, BGRADB). What the library refuses of this is left out and made by kernels of ours.
#include <algorithm>

#include "kernels/api/reduce.h"
#include "kernels/cuda/gemm/blas.h"
#include "kernels/cuda/gemm/driver.h"

namespace tandem::cuda {
namespace {

// The rest of an epilogue, on C in place: reads and writes it once. Rows of all products lie one after another.
template <class T, class Out>
__global__ void __launch_bounds__(kBlock) finish_in_place(Problem<T, Out> problem, int64_t elements) {
  const int64_t m = problem.shape.m, n = problem.shape.n;
  for (int64_t i = first_index(); i < elements; i += index_stride()) {
    const int64_t product = i / (m * n), row = i / n % m, col = i % n;
    GemmArgs<T, Out> args = problem.args;
    if (args.addend) args.addend += product * problem.products.addend_stride;
    if (args.backward.saved) args.backward.saved += product * problem.products.c_stride;
    Out& c = args.c[product * problem.products.c_stride + row * args.ldc + col];
    c = finished(args, row, col, widen(c));
  }
}

// 32 bits of a row by a warp: reads `saved` once.
template <class Out>
__global__ void __launch_bounds__(kBlock)
    pack_mask(const Out* saved, int64_t ld, int64_t rows, int64_t cols, int64_t row_words, uint32_t* mask) {
  const int lane = threadIdx.x % 32;
  for (int64_t word = first_index() / 32; word < rows * row_words; word += index_stride() / 32) {
    const int64_t row = word / row_words, col = word % row_words * 32 + lane;
    const uint32_t bits = __ballot_sync(0xffffffffu, col < cols && widen(saved[row * ld + col]) > 0);
    if (lane == 0) mask[word] = bits;
  }
}

size_t mask_bytes(const GemmShape& shape) {
  constexpr int64_t kAlignment = 256;  // what follows it in the workspace is aligned again
  const int64_t bytes = checked_mul(shape.m, blas_mask_words(shape.n) * static_cast<int64_t>(sizeof(uint32_t)));
  return static_cast<size_t>(round_up(bytes, kAlignment));
}

// A product as the library is to make it, and what of it is left to do afterwards.
template <class T, class Out>
struct Parts {
  BlasProduct product;
  GemmArgs<T, Out> rest;

  Parts(const GemmShape& shape, const GemmArgs<T, Out>& args, const ProductSet& set) : rest(args) {
    const bool fuses_addend = args.addend && args.addend_step == 1 && args.ld_addend >= shape.n;
    const bool fuses_bias = args.bias && args.bias_axis == BiasAxis::kColumn;
    rest.alpha = 1;
    if (fuses_addend) rest.addend = nullptr;
    if (fuses_bias) rest.bias = nullptr;
    product.shape = shape;
    product.in = dtype_of<T>, product.out = dtype_of<Out>;
    product.a = args.a, product.b = args.b;
    product.addend = fuses_addend ? args.addend : nullptr;
    product.bias = fuses_bias ? args.bias : nullptr;
    product.c = args.c;
    product.lda = args.lda, product.ldb = args.ldb, product.ldc = args.ldc, product.ld_addend = args.ld_addend;
    product.alpha = args.alpha, product.beta = args.beta;
    product.relu = args.activation.is(UnaryOp::kRelu) && !rest.addend && !rest.bias;
    if (product.relu) rest.activation = {};
    product.batch.count = set.count;
    if (set.rank == 1) product.batch = {set.count, set.a_strides[0], set.b_strides[0], set.c_stride, set.addend_stride};
  }
  bool finishes_c() const { return rest.addend || rest.bias || rest.activation || rest.backward.saved; }
};

// The slope as the library's epilogue; the mask for it takes the front of the workspace.
template <class T, class Out>
bool multiply_with_slope(const KernelContext& context, Parts<T, Out>& parts) {
  GemmBackward<Out>& backward = parts.rest.backward;
  BlasProduct product = parts.product;
  KernelContext behind = context;
  const GemmShape& shape = product.shape;
  if (backward.slope == UnaryGradOp::kRelu && context.workspace.size() >= mask_bytes(shape)) {
    uint32_t* const mask = reinterpret_cast<uint32_t*>(context.workspace.data());
    product.relu_mask = mask;
    behind.workspace = context.workspace.subspan(mask_bytes(shape));
    if (!blas_can_multiply(behind, product)) return false;
    const int64_t words = blas_mask_words(shape.n);
    launch<pack_mask<Out>>(context, grid_for(shape.m * words * 32), backward.saved, product.ldc, shape.m, shape.n, words, mask);
  } else if (backward.slope == UnaryGradOp::kGeluTanh && product.ldc % 8 == 0) {
    product.gelu_input = backward.saved;
  } else {
    return false;
  }
  if (!blas_multiply(behind, product)) return false;
  backward.saved = nullptr;
  return true;
}

template <class T, class Out>
bool multiply_with_sums(const KernelContext& context, Parts<T, Out>& parts) {
  GemmBackward<Out>& backward = parts.rest.backward;
  BlasProduct product = parts.product;
  product.sums = backward.sums, product.summed = backward.summed;
  if (!blas_multiply(context, product)) return false;
  backward.sums = nullptr;
  return true;
}

// The library adds one thing of a backward step, to a single product that has nothing else.
template <class T, class Out>
bool multiply_backward(const KernelContext& context, Parts<T, Out>& parts) {
  const BlasProduct& product = parts.product;
  if (product.batch.count != 1 || product.bias || product.relu || parts.rest.addend || parts.rest.bias) return false;
  if (parts.rest.backward.saved) return multiply_with_slope(context, parts);
  return parts.rest.backward.sums && multiply_with_sums(context, parts);
}

// The summed operand as it is stored, if its rows lie close; else null.
template <class T, class Out>
ConstTensorView summed_operand(const GemmShape& shape, const GemmArgs<T, Out>& args) {
  const bool of_a = args.backward.summed == Operand::kA, along_k = of_a ? !shape.transpose_a : shape.transpose_b;
  const int64_t length = of_a ? shape.m : shape.n, columns = along_k ? shape.k : length;
  if (!std::is_same_v<T, Out> || (of_a ? args.lda : args.ldb) != columns) return {};
  return {reinterpret_cast<const std::byte*>(of_a ? args.a : args.b), dtype_of<T>, {along_k ? length : shape.k, columns}};
}

template <class T, class Out>
void finish(const KernelContext& context, const Parts<T, Out>& parts, const ProductSet& set) {
  const GemmShape& shape = parts.product.shape;
  const GemmArgs<T, Out>& rest = parts.rest;
  if (rest.backward.sums) {
    const ConstTensorView operand = summed_operand(shape, rest);
    const bool of_a = rest.backward.summed == Operand::kA, along_k = of_a ? !shape.transpose_a : shape.transpose_b;
    const TensorView sums{reinterpret_cast<std::byte*>(rest.backward.sums), dtype_of<T>, {of_a ? shape.m : shape.n}};
    reduce(context, ReduceOp::kSum, operand, sums, AxisMask{along_k ? 2u : 1u});
  }
  if (!parts.finishes_c()) return;
  const int64_t elements = shape.m * shape.n * set.count;
  launch<finish_in_place<T, Out>>(context, grid_for(elements), Problem<T, Out>{shape, rest, kernel_argument(set), {}}, elements);
}

}  // namespace

Products kernel_argument(const ProductSet& set) {
  Products products{};
  products.rank = set.rank;
  products.c_stride = set.c_stride, products.addend_stride = set.addend_stride;
  for (size_t i = 0; i < static_cast<size_t>(set.rank); ++i)
    products.sizes[i] = set.sizes[i], products.a_strides[i] = set.a_strides[i], products.b_strides[i] = set.b_strides[i];
  return products;
}

// Only sets of at most one axis: those are the strided batches that the library knows.
template <class T, class Out>
bool multiply_by_library(const KernelContext& context, const GemmShape& shape, const GemmArgs<T, Out>& args,
                         const ProductSet& set) {
  if (!context.cuda || set.rank > 1) return false;
  Parts<T, Out> parts(shape, args, set);
  if (!multiply_backward(context, parts)) {
    if (args.backward.sums && !summed_operand(shape, args)) return false;
    if (!blas_multiply(context, parts.product)) return false;
  }
  finish(context, parts, set);
  return true;
}

size_t library_workspace_bytes(const GemmShape& shape, bool backward) {
  const size_t bytes = blas_workspace_bytes();
  if (bytes == 0 || !backward) return bytes;
  return std::max({bytes + mask_bytes(shape), reduce_workspace({shape.m, shape.k}), reduce_workspace({shape.k, shape.n})});
}

template bool multiply_by_library(const KernelContext&, const GemmShape&, const GemmArgs<float>&, const ProductSet&);
template bool multiply_by_library(const KernelContext&, const GemmShape&, const GemmArgs<double>&, const ProductSet&);
template bool multiply_by_library(const KernelContext&, const GemmShape&, const GemmArgs<F16>&, const ProductSet&);
template bool multiply_by_library(const KernelContext&, const GemmShape&, const GemmArgs<BF16>&, const ProductSet&);
template bool multiply_by_library(const KernelContext&, const GemmShape&, const GemmArgs<F16, float>&, const ProductSet&);
template bool multiply_by_library(const KernelContext&, const GemmShape&, const GemmArgs<BF16, float>&, const ProductSet&);

}  // namespace tandem::cuda
