// Which kernel makes a product: cuBLASLt's where it is there (by_library.cu), else our own.
//
// Our own fill the GPU with the largest tile that gives every multiprocessor a block; where even the smallest does not, k is cut
// in parts whose sums are added afterwards in order. All of it is a function of the shape alone.
#include <algorithm>

#include "kernels/cuda/gemm/driver.h"

namespace tandem::cuda {
namespace {

constexpr int64_t kProcessors = 132;   // of an H100 or H200; fixed, or bits would depend on the GPU
constexpr int64_t kMostParts = 32;     // of k
constexpr int64_t kLeastSteps = 128;   // of k in a part
constexpr int64_t kStepMultiple = 32;  // the depth of every tile divides it
constexpr int64_t kSmallestEdge = 64;  // of the largest of the smallest tiles: bounds the workspace
constexpr int64_t kSmallestTile = kSmallestEdge * kSmallestEdge;

// C from its parts: reads each once, writes C once.
template <class T, class Out>
__global__ void __launch_bounds__(kBlock) add_parts(Problem<T, Out> problem) {
  const int64_t n = problem.shape.n, elements = problem.shape.m * n;
  const auto total = [&](const Compute<T>* parts, int64_t length, int64_t at) {
    Compute<T> sum = 0;
    for (int64_t part = 0; part < problem.split.parts; ++part) sum += parts[part * length + at];
    return sum;
  };
  for (int64_t i = first_index(); i < elements; i += index_stride()) {
    const int64_t row = i / n, col = i % n;
    problem.args.c[row * problem.args.ldc + col] = finished(problem.args, row, col, total(problem.split.sums, elements, i));
  }
  Out* const sums = problem.args.backward.sums;
  const int64_t length = sums ? summed_length(problem) : 0;
  for (int64_t i = first_index(); i < length; i += index_stride())
    sums[i] = narrow<Out>(total(problem.split.sums + problem.split.parts * elements, length, i));
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

// Of a part: the sums of C, and of an operand if those are wanted.
int64_t part_elements(const GemmShape& shape, bool of_operand) {
  return shape.m * shape.n + (of_operand ? std::max(shape.m, shape.n) : 0);
}

template <class T>
size_t split_bytes(const GemmShape& shape, bool backward) {
  const int64_t parts = std::min(kMostParts, shape.k / kLeastSteps);
  if (parts <= 1) return 0;
  // Parts times tiles are at most kProcessors.
  const int64_t most = kProcessors * (kSmallestTile + (backward ? kSmallestEdge : 0));
  return static_cast<size_t>(std::min(checked_mul(parts, part_elements(shape, backward)), most)) * sizeof(Compute<T>);
}

}  // namespace

template <class T>
size_t gemm_workspace_bytes(const GemmShape& shape, bool backward) {
  return std::max(split_bytes<T>(shape, backward), library_workspace_bytes(shape, backward));
}

template <class T, class Out>
void multiply_all(const KernelContext& context, const GemmShape& shape, const GemmArgs<T, Out>& args,
                  const ProductSet& whole_set) {
  const GemmBackward<Out>& backward = args.backward;
  ensure(!backward.saved || !args.activation, "a product has an activation or the slope of one");
  ensure(!backward.sums || whole_set.count == 1, "only one product has its operands summed");
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
    const int64_t each = part_elements(shape, backward.sums != nullptr);
    const size_t bytes = static_cast<size_t>(problem.split.parts * each) * sizeof(Compute<T>);
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

template size_t gemm_workspace_bytes<float>(const GemmShape&, bool);
template size_t gemm_workspace_bytes<double>(const GemmShape&, bool);
template size_t gemm_workspace_bytes<F16>(const GemmShape&, bool);
template size_t gemm_workspace_bytes<BF16>(const GemmShape&, bool);

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
