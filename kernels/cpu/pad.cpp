// Padding maps every position of the padded tensor to one of the source, axis by axis (or to none: the constant).
#include "kernels/api/movement.h"
#include "kernels/api/pad_source.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/strided_copy.h"

namespace tandem::cpu {
namespace {

// The offset in the source of element i of the padded tensor's first `rank` axes, or kPadOutside.
int64_t source_offset(int64_t i, int rank, const Shape& source, const Shape& padded, std::span<const int64_t> before,
                      PadMode mode) {
  int64_t offset = 0, stride = 1;
  for (int a = rank - 1; a >= 0; --a) {
    const int64_t from = pad_source(i % padded[a] - before[static_cast<size_t>(a)], source[a], mode);
    if (from == kPadOutside) return kPadOutside;
    offset += from * stride;
    stride *= source[a];
    i /= padded[a];
  }
  return offset;
}

// Copies rows of the last axis: what lies in the source as a whole, the pads element by element.
template <class T>
void pad_rows(const KernelContext& context, ConstTensorView x, std::span<const int64_t> before, PadMode mode, TensorView y) {
  const int last = y.shape.rank() - 1;
  const int64_t size = x.shape[last], padded = y.shape[last], start = before[static_cast<size_t>(last)];
  const int64_t first = std::clamp<int64_t>(start, 0, padded), end_of_source = std::clamp<int64_t>(start + size, first, padded);
  const T* in = x.raw<T>().data();
  T* out = y.raw<T>().data();
  parallel_chunks(context, y.elements() / padded, grain_of(padded), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* source = in + source_offset(r, last, x.shape, y.shape, before, mode) * size;
      T* row = out + r * padded;
      for (int64_t i = 0; i < first; ++i) row[i] = source[pad_source(i - start, size, mode)];
      std::copy(source + (first - start), source + (end_of_source - start), row + first);
      for (int64_t i = end_of_source; i < padded; ++i) row[i] = source[pad_source(i - start, size, mode)];
    }
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
  visit_size(x.dtype, [&]<class T>() {
    T* out = y.raw<T>().data();
    if (mode == PadMode::kConstant) {
      require(!value || value.elements() == 1, "[Pad] the constant must be one element; its shape", to_string(value.shape));
      const T outside = value ? value.raw<T>()[0] : T{};
      parallel_chunks(context, y.elements(), kGrain,
                      [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, outside); });
      return copy_box(context, pad_box(x.shape, before, y.shape), x.data, y.data, sizeof(T));
    }
    if (y.shape.rank() == 0) return copy_box(context, pad_box(x.shape, before, y.shape), x.data, y.data, sizeof(T));
    if (y.elements() > 0) pad_rows<T>(context, x, before, mode, y);
  });
}

void pad_backward(const KernelContext& context, ConstTensorView dy, std::span<const int64_t> before, PadMode mode,
                  TensorView dx) {
  check_source(dx.shape, dy.shape, before, mode);
  visit_float(dx.dtype, [&]<class T>() {
    const T* grad = dy.as<T>().data();
    T* out = dx.as<T>().data();
    std::fill_n(out, dx.elements(), T{0});
    if (mode == PadMode::kConstant)
      return copy_box(context, reversed(pad_box(dx.shape, before, dy.shape)), dy.data, dx.data, sizeof(T));
    for (int64_t i = 0; i < dy.elements(); ++i)
      out[source_offset(i, dy.shape.rank(), dx.shape, dy.shape, before, mode)] += grad[i];
  });
}

void tile_backward(const KernelContext&, ConstTensorView dy, TensorView dx) {
  std::array<int64_t, Shape::kMaxRank> none{};
  visit_float(dx.dtype, [&]<class T>() {
    const T* grad = dy.as<T>().data();
    T* out = dx.as<T>().data();
    std::fill_n(out, dx.elements(), T{0});
    const auto before = std::span(none).first(static_cast<size_t>(dx.shape.rank()));
    for (int64_t i = 0; i < dy.elements(); ++i)
      out[source_offset(i, dy.shape.rank(), dx.shape, dy.shape, before, PadMode::kWrap)] += grad[i];
  });
}

}  // namespace tandem::cpu
