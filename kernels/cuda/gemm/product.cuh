// What both product kernels have in common: where a block's tile lies, how operands come in, how sums go out.
#pragma once

#include "kernels/api/gemm.h"
#include "kernels/cuda/device/activation.cuh"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"

namespace tandem::cuda {

// ProductSet as a kernel argument.
struct Products {
  int64_t sizes[Shape::kMaxRank], a_strides[Shape::kMaxRank], b_strides[Shape::kMaxRank];
  int64_t c_stride, addend_stride;
  int rank;
};

// k cut in `parts` of `steps` each (a multiple of every tile's depth); their sums go to `sums` as [parts, m, n] and are added
// later, in order; behind them those of an operand (GemmBackward), [parts, m or n]. One part: the tile is finished at once and
// `sums` is not used.
template <class Scalar>
struct Split {
  int64_t parts = 1, steps = 0;
  Scalar* sums = nullptr;
};

template <class T, class Out>
struct Problem {
  GemmShape shape;
  GemmArgs<T, Out> args;
  Products products;
  Split<Compute<T>> split;
};

// A block's tile: its first element in C, its part of k, its product's matrices.
struct Tile {
  int64_t row, col, k_begin, k_end;
};

// Blocks in x: products, rows of tiles, columns of tiles (fastest); in y: parts of k. Moves the pointers of `args` to the block's
// product.
template <int kRows, int kCols, class T, class Out>
__device__ Tile tile_of_block(const Problem<T, Out>& problem, GemmArgs<T, Out>& args) {
  const GemmShape& shape = problem.shape;
  const int64_t across = ceil_div(shape.n, int64_t{kCols}), tiles = ceil_div(shape.m, int64_t{kRows}) * across;
  int64_t product = blockIdx.x / tiles;
  const int64_t tile = blockIdx.x % tiles;
  const Products& all = problem.products;
  args.c += product * all.c_stride;
  if (args.addend) args.addend += product * all.addend_stride;
  if (args.backward.saved) args.backward.saved += product * all.c_stride;
  for (int axis = all.rank - 1; axis >= 0; --axis) {
    const int64_t index = product % all.sizes[axis];
    product /= all.sizes[axis];
    args.a += index * all.a_strides[axis];
    args.b += index * all.b_strides[axis];
  }
  const int64_t begin = blockIdx.y * problem.split.steps, end = problem.split.parts == 1 ? shape.k : begin + problem.split.steps;
  return {tile / across * kRows, tile % across * kCols, begin, end < shape.k ? end : shape.k};
}

// 16 bytes of one operand.
template <class E>
struct __align__(16) Chunk {
  static constexpr int kElements = 16 / sizeof(E);
  E values[kElements];
};

// An operand as `outer` lines of contiguous elements. Elements outside are zero.
template <class E>
struct Source {
  const E* data;
  int64_t ld, lines, length;  // inside are line < lines and at < length
  bool aligned;               // every line begins at a multiple of 16 bytes

  __device__ Source(const E* elements, int64_t stride, int64_t line_count, int64_t line_length)
      : data(elements),
        ld(stride),
        lines(line_count),
        length(line_length),
        aligned(reinterpret_cast<uintptr_t>(elements) % 16 == 0 && stride % Chunk<E>::kElements == 0) {}
  // REQUIRES: `at` is a multiple of the chunk.
  __device__ Chunk<E> chunk(int64_t line, int64_t at) const {
    constexpr int kElements = Chunk<E>::kElements;
    const E* from = data + line * ld + at;
    if (aligned && line < lines && at + kElements <= length) return *reinterpret_cast<const Chunk<E>*>(from);
    Chunk<E> edge;
#pragma unroll
    for (int i = 0; i < kElements; ++i) edge.values[i] = line < lines && at + i < length ? from[i] : E(0);
    return edge;
  }
};

// One element of C from its sum over k.
template <class T, class Out>
__device__ Out finished(const GemmArgs<T, Out>& args, int64_t row, int64_t col, Compute<T> sum) {
  Compute<T> value = args.alpha * sum;
  if (args.addend) value += args.beta * widen(args.addend[row * args.ld_addend + col * args.addend_step]);
  if (args.bias) value += widen(args.bias[args.bias_axis == BiasAxis::kRow ? row : col]);
  if (args.backward.saved)
    value = activate_backward(args.backward.slope, widen(args.backward.saved[row * args.ldc + col]), value);
  return narrow<Out>(activate(args.activation, value));
}

// Values that GemmBackward::sums takes.
template <class T, class Out>
__device__ int64_t summed_length(const Problem<T, Out>& problem) {
  return problem.args.backward.summed == Operand::kA ? problem.shape.m : problem.shape.n;
}

// The sum over k of one row of op(A), or one column of op(B), if this thread has one: the blocks at that edge of C have the
// operand in shared memory anyway, and a thread for each row of it.
template <class Scalar>
struct OperandSum {
  bool of_a = false, active = false;
  Scalar total = 0;

  template <int kRows, int kCols, class T, class Out>
  __device__ void begin(const Problem<T, Out>& problem, const Tile& tile) {
    of_a = problem.args.backward.summed == Operand::kA;
    active = problem.args.backward.sums && (of_a ? tile.col : tile.row) == 0 && threadIdx.x < (of_a ? kRows : kCols);
  }
  template <class T, class Out>
  __device__ void store(const Problem<T, Out>& problem, const Tile& tile) const {
    const int64_t at = (of_a ? tile.row : tile.col) + threadIdx.x, length = summed_length(problem);
    if (!active || at >= length) return;
    if (problem.split.parts == 1)
      problem.args.backward.sums[at] = narrow<Out>(total);
    else
      problem.split.sums[problem.split.parts * problem.shape.m * problem.shape.n + blockIdx.y * length + at] = total;
  }
};

// Sums of `rows` x kCols elements, row-major in shared memory `stride` apart, to C or to the block's part; neighbours go to
// neighbours.
template <int kCols, int kThreads, class T, class Out>
__device__ void store_sums(const Problem<T, Out>& problem, const GemmArgs<T, Out>& args, const Compute<T>* sums, int stride,
                           int rows, int64_t row0, int64_t col0) {
  const GemmShape& shape = problem.shape;
  Compute<T>* part = problem.split.parts == 1 ? nullptr : problem.split.sums + blockIdx.y * shape.m * shape.n;
#pragma unroll 1
  for (int i = threadIdx.x; i < rows * kCols; i += kThreads) {
    const int64_t row = row0 + i / kCols, col = col0 + i % kCols;
    if (row >= shape.m || col >= shape.n) continue;
    const Compute<T> sum = sums[i / kCols * stride + i % kCols];
    if (part)
      part[row * shape.n + col] = sum;
    else
      args.c[row * args.ldc + col] = finished(args, row, col, sum);
  }
}

}  // namespace tandem::cuda
