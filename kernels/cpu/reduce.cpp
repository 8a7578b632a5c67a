// One engine for all reductions. If the innermost axis is reduced, an output element sums contiguous segments (16 lanes); if it is
// kept, a tile of 64 neighbouring outputs goes down the rows together, so that memory is read in order either way.
#include "kernels/api/reduce.h"

#include <cmath>
#include <type_traits>

#include "kernels/api/reduce_layout.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/reduce_ops.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kLanes = 16, kBlock = 512, kTile = 64, kTileRows = 32;

using namespace reduction;

template <class Op>
constexpr bool is_shifted = requires {
  Op::kShifted;
};
// What block totals are added in.
template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, double, T>;

// The contribution of n neighbouring elements.
template <class Op, class T>
void add_segment(const T* x, int64_t n, T shift, Wide<T>& total) {
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    T lanes[kLanes];
    std::fill_n(lanes, kLanes, Op::template neutral<T>());
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (int64_t l = 0; l < kLanes; ++l) lanes[l] = Op::join(lanes[l], Op::map(x[i + l], shift));
    for (int64_t l = 0; i < end && l < kLanes; ++i, ++l) lanes[l] = Op::join(lanes[l], Op::map(x[i], shift));
    for (int64_t width = kLanes / 2; width > 0; width /= 2)
      for (int64_t l = 0; l < width; ++l) lanes[l] = Op::join(lanes[l], lanes[l + width]);
    total = Op::join(total, static_cast<Wide<T>>(lanes[0]));
  }
}

template <class Op, class T>
void reduce_inner(const KernelContext& context, const ReduceLayout& layout, const T* x, T* y) {
  const int64_t length = layout.reduced.innermost(), segments = layout.reduced.total / length;
  parallel_chunks(context, layout.kept.total, grain_of(layout.reduced.total), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const T* base = x + layout.kept.offset(o, 0);
      const T shift = is_shifted<Op> ? y[o] : T{0};
      Wide<T> total = Op::template neutral<Wide<T>>();
      for (int64_t s = 0; s < segments; ++s) add_segment<Op>(base + layout.reduced.offset(s, 1), length, shift, total);
      y[o] = static_cast<T>(Op::template finish<Wide<T>>(total, static_cast<Wide<T>>(shift), layout.reduced.total));
    }
  });
}

constexpr int64_t kMostColumns = 2048, kMostParts = 8;  // of which totals are held at once

// Rows are summed in parts, whose number depends on the rows alone: 2, 4 or 8 from 128, 256 and 512 rows on.
int64_t parts_of(int64_t rows) {
  constexpr int64_t kFewestRows = 64;
  int64_t parts = 1;
  while (parts < kMostParts && rows >= 2 * parts * kFewestRows) parts *= 2;
  return parts;
}

// What rows [begin, end) contribute to `width` <= kTile neighbouring outputs, from column x on. A width known to the compiler (Width > 0) is
// vectorised.
template <class Op, int64_t Width, class T>
void add_rows(const ReduceLayout& layout, const T* x, const T* shift, int64_t width, int64_t begin, int64_t end, Wide<T>* total) {
  const int64_t columns = Width > 0 ? Width : width;
  T block[kTile];
  Wide<T> sums[kTile];
  std::fill_n(sums, kTile, Op::template neutral<Wide<T>>());
  for (int64_t first = begin; first < end; first += kTileRows) {
    const int64_t last = std::min(end, first + kTileRows);
    std::fill_n(block, kTile, Op::template neutral<T>());
    for (int64_t r = first; r < last; ++r) {
      const T* row = x + layout.reduced.offset(r, 0);
      for (int64_t c = 0; c < columns; ++c) block[c] = Op::join(block[c], Op::map(row[c], shift[c]));
    }
    for (int64_t c = 0; c < columns; ++c) sums[c] = Op::join(sums[c], static_cast<Wide<T>>(block[c]));
  }
  std::copy_n(sums, columns, total);
}

// Outputs of tile i: the parts' totals, part p's from totals + p * stride on, joined in order.
template <class Op, class T>
void finish_tile(const ReduceLayout& layout, const Wide<T>* totals, int64_t stride, int64_t i, T* y) {
  const int64_t columns = layout.kept.innermost(), tiles = ceil_div(columns, kTile), column = i % tiles * kTile;
  const int64_t rows = layout.reduced.total, parts = parts_of(rows), width = std::min(kTile, columns - column);
  y += i / tiles * columns + column;
  Wide<T> total[kTile];
  std::fill_n(total, kTile, Op::template neutral<Wide<T>>());
  for (int64_t part = 0; part < parts; ++part, totals += stride)
    for (int64_t c = 0; c < width; ++c) total[c] = Op::join(total[c], totals[c]);
  for (int64_t c = 0; c < width; ++c)
    y[c] = static_cast<T>(Op::template finish<Wide<T>>(total[c], static_cast<Wide<T>>(is_shifted<Op> ? y[c] : T{0}), rows));
}

// What one part of the rows contributes to tile i.
template <class Op, class T>
void add_part(const ReduceLayout& layout, const T* x, const T* y, int64_t i, int64_t part, Wide<T>* total) {
  const int64_t columns = layout.kept.innermost(), tiles = ceil_div(columns, kTile), o = i / tiles, column = i % tiles * kTile;
  const int64_t rows = layout.reduced.total, parts = parts_of(rows), width = std::min(kTile, columns - column);
  const int64_t begin = rows * part / parts, end = rows * (part + 1) / parts;
  const T* from = x + layout.kept.offset(o, 1) + column;
  T shift[kTile] = {};
  if constexpr (is_shifted<Op>) std::copy_n(y + o * columns + column, width, shift);
  width == kTile ? add_rows<Op, kTile>(layout, from, shift, width, begin, end, total) : add_rows<Op, 0>(layout, from, shift, width, begin, end, total);
}

// Few outputs of many rows: threads take rows that follow each other, as they do of what is made before and behind. A function of its own for what it
// holds.
template <class Op, class T>
[[gnu::noinline]] void reduce_few(const KernelContext& context, const ReduceLayout& layout, const T* x, T* y) {
  const int64_t rows = layout.reduced.total, parts = parts_of(rows), columns = layout.kept.innermost(), tiles = ceil_div(columns, kTile);
  Wide<T> totals[kMostParts * kMostColumns];
  for (int64_t o = 0; o < layout.kept.total / columns; ++o) {
    parallel_chunks(context, parts * tiles, grain_of(rows / parts * std::min(columns, kTile)), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task)
        add_part<Op>(layout, x, y, o * tiles + task % tiles, task / tiles, totals + task / tiles * kMostColumns + task % tiles * kTile);
    });
    for (int64_t tile = 0; tile < tiles; ++tile) finish_tile<Op>(layout, totals + tile * kTile, kMostColumns, o * tiles + tile, y);
  }
}

template <class Op, class T>
void reduce_outer(const KernelContext& context, const ReduceLayout& layout, const T* x, T* y) {
  const int64_t rows = layout.reduced.total, parts = parts_of(rows), columns = layout.kept.innermost(), tiles = ceil_div(columns, kTile);
  const int64_t outer = layout.kept.total / columns;
  if (outer < context.threads && parts > 1 && columns <= kMostColumns) return reduce_few<Op>(context, layout, x, y);
  parallel_chunks(context, outer * tiles, grain_of(rows * std::min(columns, kTile)), [&](int64_t begin, int64_t end) {
    Wide<T> totals[kMostParts * kTile];
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t part = 0; part < parts; ++part) add_part<Op>(layout, x, y, i, part, totals + part * kTile);
      finish_tile<Op>(layout, totals, kTile, i, y);
    }
  });
}

template <class Op, class T>
void run(const KernelContext& context, const ReduceLayout& layout, ConstTensorView x, TensorView y) {
  const T* in = x.as<T>().data();
  T* out = y.as<T>().data();
  if (x.elements() == 0) {
    const Wide<T> none = Op::template finish<Wide<T>>(Op::template neutral<Wide<T>>(), Wide<T>{0}, 0);
    std::fill_n(out, y.elements(), static_cast<T>(none));
  } else if (layout.inner_reduced) {
    reduce_inner<Op>(context, layout, in, out);
  } else {
    reduce_outer<Op>(context, layout, in, out);
  }
}

template <class T>
void reduce_numbers(const KernelContext& context, ReduceOp op, const ReduceLayout& layout, ConstTensorView x, TensorView y) {
  switch (op) {
    case ReduceOp::kSum: return run<Add, T>(context, layout, x, y);
    case ReduceOp::kMean: return run<Mean, T>(context, layout, x, y);
    case ReduceOp::kProd: return run<Prod, T>(context, layout, x, y);
    case ReduceOp::kL1: return run<Norm1, T>(context, layout, x, y);
    case ReduceOp::kL2: return run<Norm2, T>(context, layout, x, y);
    case ReduceOp::kSumSquare: return run<Squares, T>(context, layout, x, y);
    default: break;
  }
  if constexpr (std::is_floating_point_v<T>) {
    if (op == ReduceOp::kLogSum) return run<LogSum, T>(context, layout, x, y);
    run<Max, T>(context, layout, x, y);
    run<LogSumExp, T>(context, layout, x, y);
  } else {
    no_kernel_for(x.dtype);
  }
}

// false < true, as 0 < 1.
void reduce_flags(const KernelContext& context, ReduceOp op, const ReduceLayout& layout, ConstTensorView x, TensorView y) {
  require(op == ReduceOp::kMax || op == ReduceOp::kMin, "of bool there are max and min only");
  if (x.elements() == 0) {
    std::ranges::fill(y.as<bool>(), op == ReduceOp::kMin);
    return;
  }
  const ConstTensorView bytes{x.data, DType::kU8, x.shape};
  const TensorView result{y.data, DType::kU8, y.shape};
  op == ReduceOp::kMax ? run<Max, uint8_t>(context, layout, bytes, result) : run<Min, uint8_t>(context, layout, bytes, result);
}

}  // namespace

void reduce(const KernelContext& context, ReduceOp op, ConstTensorView x, TensorView y, AxisMask axes) {
  const ReduceLayout layout(x.shape, axes);
  ensure(x.dtype == y.dtype && (x.elements() == 0 || layout.kept.total == y.elements()), "reduction's output does not fit",
         to_string(x.shape), to_string(y.shape));
  if (x.dtype == DType::kBool) return reduce_flags(context, op, layout, x, y);
  if (op == ReduceOp::kMax) return visit_arithmetic(x.dtype, [&]<class T>() { run<Max, T>(context, layout, x, y); });
  if (op == ReduceOp::kMin) return visit_arithmetic(x.dtype, [&]<class T>() { run<Min, T>(context, layout, x, y); });
  switch (x.dtype) {
    case DType::kI32: return reduce_numbers<int32_t>(context, op, layout, x, y);
    case DType::kI64: return reduce_numbers<int64_t>(context, op, layout, x, y);
    case DType::kU32: return reduce_numbers<uint32_t>(context, op, layout, x, y);
    case DType::kU64: return reduce_numbers<uint64_t>(context, op, layout, x, y);
    default: return visit_float(x.dtype, [&]<class T>() { reduce_numbers<T>(context, op, layout, x, y); });
  }
}

void reduce_to_shape(const KernelContext& context, ConstTensorView x, TensorView y) {
  reduce(context, ReduceOp::kSum, x, y, broadcast_axes(x.shape, y.shape));
}

void arg_reduce(const KernelContext& context, ConstTensorView x, TensorView y, int axis, ArgReduce options) {
  const AxisView view(x.shape, axis);
  if (view.outer * view.inner == 0) return;
  require(view.length > 0, "[ArgMax] the reduced axis is empty; shape", to_string(x.shape));
  int64_t* out = y.as<int64_t>().data();
  visit_arithmetic(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    parallel_chunks(context, view.outer * view.inner, grain_of(view.length), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const T* row = in + o / view.inner * view.length * view.inner + o % view.inner;
        int64_t best = 0;
        for (int64_t i = 1; i < view.length; ++i) {
          const T challenger = row[i * view.inner], holder = row[best * view.inner];
          const bool better = options.largest ? challenger > holder : challenger < holder;
          if (better || (options.select_last && challenger == holder)) best = i;
        }
        out[o] = best;
      }
    });
  });
}

}  // namespace tandem::cpu
