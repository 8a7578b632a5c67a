// One line of y at a time. Its source is the weighted sum of a few lines of x, one for each combination of taps of the outer
// axes; the innermost resized axis is then read through its own taps. Where that axis is not the last one, a line is what lies
// behind it, and needs no more than the sum.
#include "kernels/api/resize.h"

#include <omp.h>

#include <array>
#include <cstring>
#include <string_view>

#include "kernels/api/convert.h"
#include "kernels/api/strided_box.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/resize_table.h"

namespace tandem::cpu {
namespace {

constexpr size_t kAxes = Shape::kMaxRank;
constexpr size_t kAlign = 64;

// Integers are summed in double.
template <class T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, T, double>;

size_t aligned(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

size_t table_bytes(int64_t entries) {
  return aligned(static_cast<size_t>(entries) * sizeof(double)) + aligned(static_cast<size_t>(entries) * sizeof(int32_t));
}

// Lines that no tap runs along are worked on in pieces, which stay in the first-level cache.
constexpr int64_t kPiece = 2048;

int64_t longest_line(const Shape& x) {
  int64_t longest = kPiece;
  for (int64_t size : x.dims()) longest = std::max(longest, size);
  return longest;
}

// The tables of all axes, and how the tensors fall into lines.
struct Layout {
  std::array<ResizeTable, kAxes> tables;
  std::array<int64_t, kAxes> x_strides{};
  int rank = 0;        // axes that choose a line
  int planes = 0;      // of them, the leading ones that are not resized
  int64_t lines = 1;   // of y
  int64_t x_line = 1;  // elements of a line of x
  int64_t y_line = 1;
  bool gathers = false;  // lines are along the axis of `last`
  ResizeTable last;

  Layout(const KernelContext& context, const Shape& x, const Shape& y, std::span<const ResizeAxis> axes,
         const ResizeOptions& options) {
    ensure(x.rank() == y.rank() && static_cast<int>(axes.size()) == x.rank(), "resize needs one entry an axis", axes.size(),
           to_string(x));
    std::byte* memory = context.workspace.data();
    for (int a = 0; a < x.rank(); ++a) {
      const int64_t entries = most_resize_taps(x[a], y[a], options);
      ensure(memory + table_bytes(entries) <= context.workspace.data() + context.workspace.size(),
             "workspace of resize is too small");
      const std::span weight(reinterpret_cast<double*>(memory), static_cast<size_t>(entries));
      const std::span index(reinterpret_cast<int32_t*>(memory + aligned(weight.size_bytes())), weight.size());
      tables[static_cast<size_t>(a)] = make_resize_table(x[a], y[a], axes[static_cast<size_t>(a)], options, index, weight);
      memory += table_bytes(entries);
    }
    scratch_ = memory;
    x_strides = dense_strides(x);
    rank = x.rank();
    while (rank > 0 && tables[static_cast<size_t>(rank - 1)].identity) --rank;
    const int64_t inner = x.product(rank, x.rank());
    x_line = y_line = inner;
    if (rank > 0 && inner == 1) {
      gathers = true;
      last = tables[static_cast<size_t>(--rank)];
      x_line = last.in, y_line = last.out;
    }
    while (planes < rank && tables[static_cast<size_t>(planes)].identity) ++planes;
    lines = y.product(0, rank);
  }

  template <class T>
  T* scratch() const {
    return reinterpret_cast<T*>(scratch_) +
           omp_get_thread_num() * round_up(gathers ? x_line : kPiece, static_cast<int64_t>(kAlign / sizeof(T)));
  }

  // Calls body(offset of a line of x, weight) for all lines that line `l` of y is made of. False if it lies outside x.
  template <class Body>
  bool for_each_source(int64_t l, Body&& body) const {
    std::array<int64_t, kAxes> at{}, tap{};
    for (int a = rank - 1; a >= 0; --a) {
      const auto i = static_cast<size_t>(a);
      at[i] = l % tables[i].out;
      l /= tables[i].out;
      if (tables[i].outside(at[i])) return false;
    }
    for (int a = 0; a >= 0;) {
      int64_t offset = 0;
      double weight = 1;
      for (size_t i = 0; i < static_cast<size_t>(rank); ++i) {
        offset += tables[i].index_of(at[i], tap[i]) * x_strides[i];
        weight *= tables[i].weight_of(at[i], tap[i]);
      }
      if (weight != 0) body(offset, weight);
      for (a = rank - 1; a >= 0 && ++tap[static_cast<size_t>(a)] == tables[static_cast<size_t>(a)].taps; --a)
        tap[static_cast<size_t>(a)] = 0;
    }
    return true;
  }

 private:
  std::byte* scratch_ = nullptr;
};

template <class T>
void move_line(const Layout& layout, const T* line, T outside, T* out) {
  if (!layout.gathers) {
    std::copy_n(line, layout.y_line, out);
    return;
  }
  for (int64_t o = 0; o < layout.y_line; ++o) out[o] = layout.last.index[o] < 0 ? outside : line[layout.last.index[o]];
}

// A line that repeats the one before is copied from it.
template <class T>
void resize_nearest(const KernelContext& context, const Layout& layout, const T* x, T outside, T* y) {
  parallel_chunks(context, layout.lines, grain_of(layout.y_line), [&](int64_t begin, int64_t end) {
    int64_t previous = -1;
    for (int64_t l = begin; l < end; ++l) {
      T* out = y + l * layout.y_line;
      int64_t source = -1;
      layout.for_each_source(l, [&](int64_t offset, double) { source = offset; });
      if (source < 0)
        std::fill_n(out, layout.y_line, outside);
      else if (source == previous)
        std::copy_n(out - layout.y_line, layout.y_line, out);
      else
        move_line(layout, x + source, outside, out);
      previous = source;
    }
  });
}

// `value` as an element of type `dtype`; zero for what is no number.
std::array<std::byte, sizeof(std::string_view)> bytes_of(double value, DType dtype) {
  std::array<std::byte, sizeof(std::string_view)> bytes{};
  if (value == 0 || !(is_float(dtype) || is_integer(dtype))) return bytes;
  visit_number(dtype, [&]<class T>() {
    const T element = convert<T>(value);
    std::memcpy(bytes.data(), &element, sizeof(T));
  });
  return bytes;
}

// out = what `line` gives through the taps of the last axis. The number of taps is a type where it is 2.
template <class T, class Taps>
void gather_line(const ResizeTable& table, Taps taps, const Sum<T>* line, T outside, T* out) {
  const int32_t* index = table.index;
  const double* weight = table.weight;
  for (int64_t o = 0; o < table.out; ++o, index += taps, weight += taps) {
    Sum<T> sum = 0;
    for (int64_t t = 0; t < taps; ++t) sum += static_cast<Sum<T>>(weight[t]) * line[std::max(index[t], 0)];
    out[o] = index[0] < 0 ? outside : convert<T>(sum);
  }
}

// Elements [from, from + count) of the line of x that line `l` of y is made of. False if it lies outside x.
template <class T>
bool sum_line(const Layout& layout, int64_t l, int64_t from, int64_t count, const T* x, Sum<T>* line) {
  bool first = true;
  return layout.for_each_source(l, [&](int64_t offset, double weight) {
    const auto w = static_cast<Sum<T>>(weight);
    const T* source = x + offset + from;
    if (first)
      for (int64_t i = 0; i < count; ++i) line[i] = w * static_cast<Sum<T>>(source[i]);
    else
      for (int64_t i = 0; i < count; ++i) line[i] += w * static_cast<Sum<T>>(source[i]);
    first = false;
  });
}

template <class T>
void filter_line(const Layout& layout, int64_t l, const T* x, T outside, Sum<T>* line, T* out) {
  for (int64_t from = 0; !layout.gathers && from < layout.x_line; from += kPiece) {
    const int64_t count = std::min(kPiece, layout.x_line - from);
    const bool inside = sum_line(layout, l, from, count, x, line);
    for (int64_t i = 0; i < count; ++i) out[from + i] = inside ? convert<T>(line[i]) : outside;
  }
  if (!layout.gathers) return;
  if (!sum_line(layout, l, 0, layout.x_line, x, line)) {
    std::fill_n(out, layout.y_line, outside);
  } else if (layout.last.taps == 2) {
    gather_line<T>(layout.last, std::integral_constant<int64_t, 2>(), line, outside, out);
  } else {
    gather_line<T>(layout.last, layout.last.taps, line, outside, out);
  }
}

// dx += the line of dy at `l`, by the same weights.
template <class T>
void scatter_line(const Layout& layout, int64_t l, const T* dy, T* line, T* dx) {
  const T* grad = dy + l * layout.y_line;
  if (layout.gathers) {
    std::fill_n(line, layout.x_line, T(0));
    for (int64_t o = 0; o < layout.last.out; ++o)
      for (int64_t t = 0; t < layout.last.taps && !layout.last.outside(o); ++t)
        line[layout.last.index_of(o, t)] += static_cast<T>(layout.last.weight_of(o, t)) * grad[o];
    grad = line;
  }
  layout.for_each_source(l, [&](int64_t offset, double weight) {
    for (int64_t i = 0; i < layout.x_line; ++i) dx[offset + i] += static_cast<T>(weight) * grad[i];
  });
}

}  // namespace

size_t resize_workspace(const Shape& x, const Shape& y, const ResizeOptions& options, int threads) {
  size_t bytes = 0;
  for (int a = 0; a < x.rank(); ++a) bytes += table_bytes(most_resize_taps(x[a], y[a], options));
  return bytes + static_cast<size_t>(threads) * (aligned(static_cast<size_t>(longest_line(x)) * sizeof(double)));
}

void resize(const KernelContext& context, ConstTensorView x, std::span<const ResizeAxis> axes, const ResizeOptions& options,
            TensorView y) {
  if (y.elements() == 0) return;
  const Layout layout(context, x.shape, y.shape, axes, options);
  if (options.mode == ResizeMode::kNearest) {
    const auto bytes = bytes_of(options.extrapolation, x.dtype);
    visit_size(x.dtype, [&]<class Bits>() {
      Bits outside{};
      std::memcpy(static_cast<void*>(&outside), bytes.data(), sizeof(Bits));
      resize_nearest(context, layout, x.raw<Bits>().data(), outside, y.raw<Bits>().data());
    });
    return;
  }
  visit_number(x.dtype, [&]<class T>() {
    const T outside = convert<T>(options.extrapolation), *in = x.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, layout.lines, grain_of(4 * layout.y_line), [&](int64_t begin, int64_t end) {
      for (int64_t l = begin; l < end; ++l)
        filter_line(layout, l, in, outside, layout.scratch<Sum<T>>(), out + l * layout.y_line);
    });
  });
}

void resize_backward(const KernelContext& context, ConstTensorView dy, std::span<const ResizeAxis> axes,
                     const ResizeOptions& options, TensorView dx) {
  visit_float(dx.dtype, [&]<class T>() {
    T* out = dx.as<T>().data();
    std::fill_n(out, dx.elements(), T(0));
    if (dy.elements() == 0) return;
    const Layout layout(context, dx.shape, dy.shape, axes, options);
    const T* grad = dy.as<T>().data();
    const int64_t planes = dx.shape.product(0, layout.planes), lines = layout.lines / planes;
    parallel_chunks(context, planes, grain_of(4 * lines * layout.y_line), [&](int64_t begin, int64_t end) {
      for (int64_t l = begin * lines; l < end * lines; ++l) scatter_line(layout, l, grad, layout.scratch<T>(), out);
    });
  });
}

}  // namespace tandem::cpu
