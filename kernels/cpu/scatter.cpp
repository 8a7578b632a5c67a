// Threads own what they write: a line along the axis, or columns of the slices of a batch. Whoever writes an element applies all
// of its updates, in their order.
#include "kernels/api/scatter.h"

#include <algorithm>

#include "kernels/api/integer_arithmetic.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/indices.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kColumns = 64;

struct Replace {
  template <class T>
  T operator()(T, T update) const {
    return update;
  }
};
struct Add {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  }
};
struct Multiply {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));  // narrow types must not meet as int
    else
      return a * b;
  }
};
struct Smaller {
  template <class T>
  T operator()(T a, T b) const {
    return b < a || b != b ? b : a;
  }
};
struct Larger {
  template <class T>
  T operator()(T a, T b) const {
    return b > a || b != b ? b : a;
  }
};

// Calls f.template operator()<T>(functor).
template <class F>
void with_reduction(ScatterReduction reduction, DType dtype, F&& f) {
  if (reduction == ScatterReduction::kNone) return visit_size(dtype, [&]<class T>() { f.template operator()<T>(Replace{}); });
  visit_arithmetic(dtype, [&]<class T>() {
    switch (reduction) {
      case ScatterReduction::kNone: break;
      case ScatterReduction::kAdd: return f.template operator()<T>(Add{});
      case ScatterReduction::kMul: return f.template operator()<T>(Multiply{});
      case ScatterReduction::kMin: return f.template operator()<T>(Smaller{});
      case ScatterReduction::kMax: return f.template operator()<T>(Larger{});
    }
  });
}

}  // namespace

void scatter_elements(const KernelContext& context, ConstTensorView indices, ConstTensorView updates, int axis,
                      ScatterReduction reduction, TensorView y) {
  const LineWalk walk(y.shape, indices.shape, axis);
  const AxisView& lines = walk.lines();
  const int64_t size = y.shape[axis], stride = walk.axis_stride();
  const int64_t pieces = ceil_div(lines.inner, kColumns);
  with_indices(indices, size, [&](const auto* index) {
    with_reduction(reduction, y.dtype, [&]<class T>(auto combine) {
      const T* from = updates.raw<T>().data();
      T* out = y.raw<T>().data();
      const int64_t work = lines.length * std::min(lines.inner, kColumns);
      parallel_chunks(context, lines.outer * pieces, grain_of(work), [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) {
          const int64_t outer = unit / pieces, first = unit % pieces * kColumns, last = std::min(lines.inner, first + kColumns);
          T* to = out + walk.outer_offset(outer);
          for (int64_t i = 0; i < lines.length; ++i) {
            const int64_t row = (outer * lines.length + i) * lines.inner;
            for (int64_t c = first; c < last; ++c) {
              T& element = to[walk.inner_offset(c) + wrapped(index[row + c], size) * stride];
              element = combine(element, from[row + c]);
            }
          }
        }
      });
    });
  });
}

void scatter_nd(const KernelContext& context, ConstTensorView indices, ConstTensorView updates, int batch_dims,
                ScatterReduction reduction, TensorView y) {
  const TupleWalk walk(y.shape, indices.shape, batch_dims);
  const int64_t* index = indices.as<int64_t>().data();
  walk.check(index);
  const int64_t pieces = ceil_div(walk.slice(), kColumns);
  with_reduction(reduction, y.dtype, [&]<class T>(auto combine) {
    const T* from = updates.raw<T>().data();
    T* out = y.raw<T>().data();
    const int64_t work = walk.per_batch() * std::min(walk.slice(), kColumns);
    parallel_chunks(context, walk.batches() * pieces, grain_of(work), [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t first = unit % pieces * kColumns, width = std::min(kColumns, walk.slice() - first);
        const int64_t tuple = unit / pieces * walk.per_batch();
        for (int64_t t = tuple; t < tuple + walk.per_batch(); ++t) {
          T* to = out + walk.offset(index, t) + first;
          const T* update = from + t * walk.slice() + first;
          for (int64_t c = 0; c < width; ++c) to[c] = combine(to[c], update[c]);
        }
      }
    });
  });
}

}  // namespace tandem::cpu
