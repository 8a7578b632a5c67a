// Which kernel makes a product: cuBLASLt's where it is there, with what it cannot fuse done in place afterwards; else our own.
//
// Our own fill the GPU with the largest tile that gives every multiprocessor a block; where even the smallest does not, k is cut
// in parts whose sums are added afterwards in order. All of it is a function of the shape alone.
#include <algorithm>

#include "kernels/cuda/gemm/blas.h"
#include "kernels/cuda/gemm/driver.h"

namespace tandem::cuda {
namespace {

constexpr int64_t kProcessors = 132;        // of an H100 or H200; fixed, or bits would depend on the GPU
constexpr int64_t kMostParts = 32;          // of k
constexpr int64_t kLeastSteps = 128;        // of k in a part
constexpr int64_t kStepMultiple = 32;       // the depth of every tile divides it
constexpr int64_t kSmallestTile = 64 * 64;  // the largest of the smallest tiles: bounds the workspace

// C from its parts: reads each once, writes C once.
template <class T, class Out>
__global__ void __launch_bounds__(kBlock) add_parts(Problem<T, Out> problem) {
  const int64_t n = problem.shape.n, elements = problem.shape.m * n;
  for (int64_t i = first_index(); i < elements; i += index_stride()) {
    Compute<T> sum = 0;
    for (int64_t part = 0; part < problem.split.parts; ++part) sum += problem.split.sums[part * elements + i];
    const int64_t row = i / n, col = i % n;
    problem.args.c[row * problem.args.ldc + col] = finished(problem.args, row, col, sum);
  }
}

// The rest of an epilogue, on C in place: reads and writes it once. Rows of all products lie one after another.
template <class T, class Out>
__global__ void __launch_bounds__(kBlock) finish_in_place(Problem<T, Out> problem, int64_t elements) {
  const int64_t m = problem.shape.m, n = problem.shape.n;
  for (int64_t i = first_index(); i < elements; i += index_stride()) {
    const int64_t product = i / (m * n), row = i / n % m, col = i % n;
    GemmArgs<T, Out> args = problem.args;
    if (args.addend) args.addend += product * problem.products.addend_stride;
    Out& c = args.c[product * problem.products.c_stride + row * args.ldc + col];
    c = finished(args, row, col, widen(c));
  }
}

template <class T, class Out>
int64_t tiles_of(const TileSize<T, Out>& size, const GemmShape& shape) {
  return ceil_div(shape.m, size.rows) * ceil_div(shape.n, size.cols);
}

template <class T, class Out>
const TileSize<T, Out>& chosen_tile(const GemmShape& shape, int64_t products) {
  const auto sizes = tile_sizes<T, Out>();
  const auto fills = [&](const TileSize<T, Out>& size) { return tiles_of(size, shape) * products >= kProcessors; };
  const auto found = std::find_if(sizes.begin(), sizes.end() - 1, fills);
  return *found;
}

int64_t parts_for(const GemmShape& shape, int64_t tiles) {
  return std::max<int64_t>(1, std::min({kMostParts, kProcessors / tiles, shape.k / kLeastSteps}));
}

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
  const bool fuses_addend = args.addend && args.addend_step == 1 && args.ld_addend >= shape.n;
  const bool fuses_bias = args.bias && args.bias_axis == BiasAxis::kColumn;
  GemmArgs<T, Out> rest = args;
  rest.alpha = 1;
  if (fuses_addend) rest.addend = nullptr;
  if (fuses_bias) rest.bias = nullptr;
  const bool relu = args.activation == Activation::kRelu && !rest.addend && !rest.bias;
  if (relu) rest.activation = Activation::kNone;
  BlasProduct product;
  product.shape = shape;
  product.in = dtype_of<T>, product.out = dtype_of<Out>;
  product.a = args.a, product.b = args.b;
  product.addend = fuses_addend ? args.addend : nullptr;
  product.bias = fuses_bias ? args.bias : nullptr;
  product.c = args.c;
  product.lda = args.lda, product.ldb = args.ldb, product.ldc = args.ldc, product.ld_addend = args.ld_addend;
  product.alpha = args.alpha, product.beta = args.beta;
  product.relu = relu;
  product.batch.count = set.count;
  if (set.rank == 1) product.batch = {set.count, set.a_strides[0], set.b_strides[0], set.c_stride, set.addend_stride};
  if (!blas_multiply(context, product)) return false;
  if (rest.addend || rest.bias || rest.activation != Activation::kNone) {
    const int64_t elements = shape.m * shape.n * set.count;
    launch<finish_in_place<T, Out>>(context, grid_for(elements), Problem<T, Out>{shape, rest, kernel_argument(set), {}},
                                    elements);
  }
  return true;
}

template <class T>
size_t split_bytes(const GemmShape& shape) {
  const int64_t parts = std::min(kMostParts, shape.k / kLeastSteps);
  if (parts <= 1) return 0;
  // Parts times tiles are at most kProcessors.
  return static_cast<size_t>(std::min(checked_mul(parts, shape.m * shape.n), kProcessors * kSmallestTile)) * sizeof(Compute<T>);
}

}  // namespace

template <class T>
size_t gemm_workspace_bytes(const GemmShape& shape) {
  return std::max(split_bytes<T>(shape), blas_workspace_bytes());
}

template <class T, class Out>
void multiply_all(const KernelContext& context, const GemmShape& shape, const GemmArgs<T, Out>& args,
                  const ProductSet& whole_set) {
  if (shape.m == 0 || shape.n == 0 || whole_set.count == 0) return;
  const ProductSet set = with_merged_axes(whole_set);
  if (multiply_by_library(context, shape, args, set)) return;
  const TileSize<T, Out>& tile = chosen_tile<T, Out>(shape, set.count);
  const int64_t tiles = tiles_of(tile, shape);
  Problem<T, Out> problem{shape, args, kernel_argument(set), {}};
  if (set.count == 1) {
    const int64_t parts = parts_for(shape, tiles);
    problem.split.steps = round_up(ceil_div(shape.k, parts), kStepMultiple);
    problem.split.parts = std::max<int64_t>(1, ceil_div(shape.k, std::max(problem.split.steps, kStepMultiple)));
  }
  if (problem.split.parts > 1) {
    const size_t bytes = static_cast<size_t>(problem.split.parts * shape.m * shape.n) * sizeof(Compute<T>);
    ensure(context.workspace.size() >= bytes, "workspace is too small", "gemm", context.workspace.size(), bytes);
    problem.split.sums = reinterpret_cast<Compute<T>*>(context.workspace.data());
  }
  tile.launch(context, problem, {.blocks = tiles * set.count, .blocks_y = problem.split.parts});
  if (problem.split.parts > 1) launch<add_parts<T, Out>>(context, grid_for(shape.m * shape.n), problem);
}

template <class T, class Out>
void gemm(const KernelContext& context, const GemmShape& shape, const GemmArgs<T, Out>& args) {
  multiply_all(context, shape, args, {});
}

template <class T, class Out>
void batched_gemm(const KernelContext& context, const GemmShape& shape, const GemmArgs<T, Out>& args, const GemmBatch& batch) {
  ProductSet set;
  set.push_back(batch.count, batch.stride_a, batch.stride_b);
  set.c_stride = batch.stride_c;
  set.addend_stride = batch.stride_addend;
  multiply_all(context, shape, args, set);
}

template size_t gemm_workspace_bytes<float>(const GemmShape&);
template size_t gemm_workspace_bytes<double>(const GemmShape&);
template size_t gemm_workspace_bytes<F16>(const GemmShape&);
template size_t gemm_workspace_bytes<BF16>(const GemmShape&);

template void gemm(const KernelContext&, const GemmShape&, const GemmArgs<float>&);
template void gemm(const KernelContext&, const GemmShape&, const GemmArgs<double>&);
template void gemm(const KernelContext&, const GemmShape&, const GemmArgs<F16>&);
template void gemm(const KernelContext&, const GemmShape&, const GemmArgs<BF16>&);
template void gemm(const KernelContext&, const GemmShape&, const GemmArgs<F16, float>&);
template void gemm(const KernelContext&, const GemmShape&, const GemmArgs<BF16, float>&);
template void batched_gemm(const KernelContext&, const GemmShape&, const GemmArgs<float>&, const GemmBatch&);
template void batched_gemm(const KernelContext&, const GemmShape&, const GemmArgs<double>&, const GemmBatch&);
template void batched_gemm(const KernelContext&, const GemmShape&, const GemmArgs<F16>&, const GemmBatch&);
template void batched_gemm(const KernelContext&, const GemmShape&, const GemmArgs<BF16>&, const GemmBatch&);
template void batched_gemm(const KernelContext&, const GemmShape&, const GemmArgs<F16, float>&, const GemmBatch&);
template void batched_gemm(const KernelContext&, const GemmShape&, const GemmArgs<BF16, float>&, const GemmBatch&);
template void multiply_all(const KernelContext&, const GemmShape&, const GemmArgs<float>&, const ProductSet&);
template void multiply_all(const KernelContext&, const GemmShape&, const GemmArgs<double>&, const ProductSet&);
template void multiply_all(const KernelContext&, const GemmShape&, const GemmArgs<F16>&, const ProductSet&);
template void multiply_all(const KernelContext&, const GemmShape&, const GemmArgs<BF16>&, const ProductSet&);

}  // namespace tandem::cuda
