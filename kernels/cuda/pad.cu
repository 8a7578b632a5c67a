// Padding, and its and its relatives' gradients. The output is written once, in order; what is read is read once, but for
// elements that a mode repeats.
//
// A constant pad, its gradient and the gradient of slice are one kernel: a box inside the output gets what is read, the rest a
// constant. The sums of the other modes and of tile take one thread an element, which goes through its terms in row-major order;
// where there are many terms to an element, one block, with a fixed tree.
#include "kernels/api/pad_source.h"

#include <cstring>

#include "kernels/api/strided_box.h"
#include "kernels/cuda/device/divide.cuh"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduce.cuh"

namespace tandem::cuda {
namespace {

constexpr int kMaxRank = Shape::kMaxRank;

// `part` lies in `whole` at starts + i * steps, along every axis.
struct Inlay {
  struct Axis {
    int64_t whole, start, step, part;
  };
  Axis axes[kMaxRank] = {};
  int rank = 0;
  int64_t elements = 1;  // of the whole

  // Appends an axis, outermost first. One that is filled altogether is merged into the axis before it.
  void add_axis(const Axis& axis) {
    elements *= axis.whole;
    if (axis.whole == 1 && axis.part == 1 && axis.start == 0) return;
    if (rank > 0 && axes[rank - 1].step == 1 && axis.step == 1 && axis.start == 0 && axis.part == axis.whole) {
      Axis& last = axes[rank - 1];
      last = {last.whole * axis.whole, last.start * axis.whole, 1, last.part * axis.whole};
      return;
    }
    axes[rank++] = axis;
  }
  // Makes one element of two that always move together.
  bool widen() {
    if (rank == 0) return false;
    Axis& inner = axes[rank - 1];
    if (inner.step != 1 || inner.whole % 2 != 0 || inner.start % 2 != 0 || inner.part % 2 != 0) return false;
    inner = {inner.whole / 2, inner.start / 2, 1, inner.part / 2};
    elements /= 2;
    return true;
  }
};

struct DeviceInlay {
  int rank;
  Divisor sizes[kMaxRank];
  Inlay::Axis axes[kMaxRank];

  explicit DeviceInlay(const Inlay& inlay) : rank(inlay.rank) {
    for (int a = 0; a < rank; ++a) {
      sizes[a] = Divisor(inlay.axes[a].whole);
      axes[a] = inlay.axes[a];
    }
  }
  // The element of the part that lies at element `at` of the whole, or kPadOutside.
  __device__ int64_t locate(int64_t at) const {
    int64_t offset = 0, stride = 1;
    for (int a = rank - 1; a >= 0; --a) {
      const Inlay::Axis& axis = axes[a];
      int64_t i = sizes[a].divide(at) - axis.start;
      if (axis.step != 1) {
        if (i % axis.step != 0) return kPadOutside;
        i /= axis.step;
      }
      if (i < 0 || i >= axis.part) return kPadOutside;
      offset += i * stride;
      stride *= axis.part;
    }
    return offset;
  }
};

template <class Word>
__global__ void __launch_bounds__(kBlock) place_inlay(DeviceInlay inlay, const Word* part, Word* whole, int64_t n, Word outside) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    const int64_t from = inlay.locate(i);
    whole[i] = from == kPadOutside ? outside : part[from];
  }
}

template <class Word>
void place_words(const KernelContext& context, const Inlay& inlay, const std::byte* part, std::byte* whole,
                 const std::byte* outside) {
  Word value;
  std::memcpy(&value, outside, sizeof value);
  launch<place_inlay<Word>>(context, grid_for(inlay.elements), DeviceInlay(inlay), reinterpret_cast<const Word*>(part),
                            reinterpret_cast<Word*>(whole), inlay.elements, value);
}

// `value`: one element, or null for zero.
void place(const KernelContext& context, Inlay inlay, ConstTensorView part, TensorView whole, const std::byte* value) {
  if (inlay.elements == 0) return;
  size_t size = size_of(whole.dtype);
  std::byte outside[16] = {};
  for (size_t i = 0; value != nullptr && i < sizeof outside; ++i) outside[i] = value[i % size];
  const auto aligned = [](const std::byte* address, size_t bytes) { return reinterpret_cast<uintptr_t>(address) % bytes == 0; };
  while (size < 16 && aligned(part.data, 2 * size) && aligned(whole.data, 2 * size) && inlay.widen()) size *= 2;
  switch (size) {
    case 1: return place_words<uint8_t>(context, inlay, part.data, whole.data, outside);
    case 2: return place_words<uint16_t>(context, inlay, part.data, whole.data, outside);
    case 4: return place_words<uint32_t>(context, inlay, part.data, whole.data, outside);
    case 8: return place_words<uint64_t>(context, inlay, part.data, whole.data, outside);
    default: return place_words<uint4>(context, inlay, part.data, whole.data, outside);
  }
}

Inlay inlay_of(const Shape& whole, std::span<const int64_t> starts, std::span<const int64_t> steps, const Shape& part) {
  ensure(static_cast<int>(starts.size()) == whole.rank() && part.rank() == whole.rank(),
         "one value an axis is needed; values, shape", starts.size(), to_string(whole));
  Inlay inlay;
  for (int a = 0; a < whole.rank(); ++a) {
    const size_t i = static_cast<size_t>(a);
    inlay.add_axis({whole[a], starts[i], steps.empty() ? 1 : steps[i], part[a]});
  }
  return inlay;
}

// What padding by copies does along every axis.
struct PadAxes {
  int rank;
  PadMode mode;
  Divisor sizes[kMaxRank];  // of the axes that the kernel walks
  int64_t source[kMaxRank], padded[kMaxRank], before[kMaxRank];

  PadAxes(const Shape& walked, const Shape& x, const Shape& y, std::span<const int64_t> pads, PadMode m)
      : rank(x.rank()), mode(m) {
    for (int a = 0; a < rank; ++a) {
      sizes[a] = Divisor(walked[a]);
      source[a] = x[a];
      padded[a] = y[a];
      before[a] = pads.empty() ? 0 : pads[static_cast<size_t>(a)];
    }
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock) pad_copies(PadAxes axes, const T* x, T* y, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t rest = i, offset = 0, stride = 1;
    for (int a = axes.rank - 1; a >= 0; --a) {
      offset += pad_source(axes.sizes[a].divide(rest) - axes.before[a], axes.source[a], axes.mode) * stride;
      stride *= axes.source[a];
    }
    y[i] = x[offset];
  }
}

// The positions of a padded axis that are copies of one element, ascending: their distances are `gap`, `other`, `gap` and so on.
struct Copies {
  int64_t first, gap, other, count;
  __device__ int64_t at(int64_t k) const { return first + k / 2 * (gap + other) + (k % 2 ? gap : 0); }
};

__device__ int64_t modulo(int64_t a, int64_t n) { return (a % n + n) % n; }
__device__ int64_t count_from(int64_t first, int64_t end, int64_t step) { return first < end ? (end - 1 - first) / step + 1 : 0; }

// Of element i of an axis of `size`, as positions of the padded axis.
__device__ Copies copies_of(int64_t i, int64_t size, int64_t padded, int64_t before, PadMode mode) {
  const int64_t low = -before, high = padded - before;  // counted from the first element of the unpadded axis
  if (mode == PadMode::kEdge || size == 1) {
    const int64_t begin = i == 0 ? low : i, end = i == size - 1 ? high : i + 1;
    const int64_t first = begin > low ? begin : low, last = end < high ? end : high;
    const bool reached = !(i == 0 && size > 1 && low > 0) && !(i == size - 1 && size > 1 && high < size);
    return {first + before, 1, 1, reached && last > first ? last - first : 0};
  }
  const int64_t period = mode == PadMode::kWrap ? size : 2 * (size - 1), here = low + modulo(i - low, period);
  const int64_t mirrored = mode == PadMode::kWrap ? here : low + modulo(-i - low, period);
  if (here == mirrored) return {here + before, period, period, count_from(here, high, period)};
  const int64_t first = here < mirrored ? here : mirrored, gap = here < mirrored ? mirrored - here : here - mirrored;
  return {first + before, gap, period - gap, count_from(here, high, period) + count_from(mirrored, high, period)};
}

// All copies of element i of the source, in row-major order.
class Terms {
 public:
  __device__ Terms(const PadAxes& axes, int64_t i) {
    int64_t stride = 1;
#pragma unroll
    for (int a = kMaxRank - 1; a >= 0; --a) {
      if (a >= axes.rank) continue;
      copies_[a] = copies_of(axes.sizes[a].divide(i), axes.source[a], axes.padded[a], axes.before[a], axes.mode);
      strides_[a] = stride;
      stride *= axes.padded[a];
      count_ *= copies_[a].count;
    }
  }
  __device__ int64_t count() const { return count_; }
  __device__ int64_t offset(const PadAxes& axes, int64_t k) const {
    int64_t offset = 0;
#pragma unroll
    for (int a = kMaxRank - 1; a >= 0; --a) {
      if (a >= axes.rank) continue;
      const int64_t rest = copies_[a].count == 1 ? k : k / copies_[a].count;
      offset += copies_[a].at(k - rest * copies_[a].count) * strides_[a];
      k = rest;
    }
    return offset;
  }

 private:
  Copies copies_[kMaxRank];
  int64_t strides_[kMaxRank];
  int64_t count_ = 1;
};

template <class T>
__global__ void __launch_bounds__(kBlock) sum_copies(PadAxes axes, const T* dy, T* dx, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    const Terms terms(axes, i);
    Compute<T> sum = 0;
    for (int64_t k = 0; k < terms.count(); ++k) sum += widen(dy[terms.offset(axes, k)]);
    dx[i] = narrow<T>(sum);
  }
}

// One block an element.
template <class T>
__global__ void __launch_bounds__(kBlock) sum_many_copies(PadAxes axes, const T* dy, T* dx) {
  const Terms terms(axes, blockIdx.x);
  Compute<T> sum = 0;
  for (int64_t k = threadIdx.x; k < terms.count(); k += kBlock) sum += widen(dy[terms.offset(axes, k)]);
  sum = block_reduce<kBlock>(sum, Sum());
  if (threadIdx.x == 0) dx[blockIdx.x] = narrow<T>(sum);
}

constexpr int64_t kManyCopies = 64;  // from here on a block has something to do

void sum_backward(const KernelContext& context, ConstTensorView dy, std::span<const int64_t> before, PadMode mode,
                  TensorView dx) {
  const int64_t n = dx.elements();
  if (n == 0) return;
  const PadAxes axes(dx.shape, dx.shape, dy.shape, before, mode);
  cuda::visit_float(dx.dtype, [&]<class T>() {
    const T* grad = dy.as<T>().data();
    T* out = dx.as<T>().data();
    if (dy.elements() / n >= kManyCopies)
      launch<sum_many_copies<T>>(context, {.blocks = n, .threads = kBlock}, axes, grad, out);
    else
      launch<sum_copies<T>>(context, grid_for(n), axes, grad, out, n);
  });
}

void check_source(const Shape& source, const Shape& padded, std::span<const int64_t> before, PadMode mode) {
  ensure(static_cast<int>(before.size()) == source.rank() && padded.rank() == source.rank(), "pads do not fit the rank",
         before.size());
  for (int a = 0; a < source.rank(); ++a)
    require(mode == PadMode::kConstant || source[a] > 0 || padded[a] == 0, "[Pad] this mode needs a source; shape",
            to_string(source));
}

}  // namespace

void pad(const KernelContext& context, ConstTensorView x, std::span<const int64_t> before, PadMode mode, ConstTensorView value,
         TensorView y) {
  check_source(x.shape, y.shape, before, mode);
  if (mode == PadMode::kConstant) {
    require(!value || value.elements() == 1, "[Pad] the constant must be one element; its shape", to_string(value.shape));
    return place(context, inlay_of(y.shape, before, {}, x.shape), x, y, value ? value.data : nullptr);
  }
  const int64_t n = y.elements();
  if (n == 0) return;
  cuda::visit_size(x.dtype, [&]<class T>() {
    launch<pad_copies<T>>(context, grid_for(n), PadAxes(y.shape, x.shape, y.shape, before, mode), x.raw<T>().data(),
                          y.raw<T>().data(), n);
  });
}

void pad_backward(const KernelContext& context, ConstTensorView dy, std::span<const int64_t> before, PadMode mode,
                  TensorView dx) {
  check_source(dx.shape, dy.shape, before, mode);
  if (mode != PadMode::kConstant) return sum_backward(context, dy, before, mode, dx);
  int64_t back[kMaxRank] = {};
  for (size_t a = 0; a < before.size(); ++a) back[a] = -before[a];
  place(context, inlay_of(dx.shape, std::span<const int64_t>(back, before.size()), {}, dy.shape), dy, dx, nullptr);
}

void tile_backward(const KernelContext& context, ConstTensorView dy, TensorView dx) {
  sum_backward(context, dy, {}, PadMode::kWrap, dx);
}

void slice_backward(const KernelContext& context, ConstTensorView dy, std::span<const int64_t> starts,
                    std::span<const int64_t> steps, TensorView dx) {
  place(context, inlay_of(dx.shape, starts, steps, dy.shape), dy, dx, nullptr);
}

}  // namespace tandem::cuda
