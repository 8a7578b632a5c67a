// Threads share bags, and of the gradient columns: whoever adds to an element of the table adds all of its terms.
#include "kernels/api/embedding_bag.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/indices.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd/bag_rows.h"
#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kColumns = 64;

// Which indices are a bag.
struct Bags {
  AxisView view;

  Bags(const Shape& indices, const EmbeddingBag& options) : view(indices, options.axis) {}
  int64_t count() const { return view.outer * view.inner; }
  int64_t first(int64_t bag) const { return bag / view.inner * view.length * view.inner + bag % view.inner; }
};

void check(ConstTensorView table, ConstTensorView indices, ConstTensorView weights, const EmbeddingBag& options) {
  require(table.shape.rank() == 2 && options.axis >= 0 && options.axis < indices.shape.rank(), "bags need a table [rows, width] and an axis of their indices",
          to_string(table.shape), to_string(indices.shape), options.axis);
  require(!weights || (options.mode == BagMode::kSum && weights.elements() == indices.elements() && weights.dtype == table.dtype),
          "weights are one for each index of a sum", to_string(weights.shape), to_string(indices.shape));
}

// What a bag adds to a piece of one of its rows.
template <class T>
class Slope {
 public:
  Slope(const T* dy, const T* table, int64_t width, BagMode mode) : dy_(dy), table_(table), width_(width), mode_(mode) {}

  // For columns [column, column + n) of a bag whose rows row(0), row(1), ... are `count`.
  void start(int64_t bag, int64_t column, int64_t n, int64_t count, auto&& row) {
    column_ = column, n_ = n;
    std::copy_n(dy_ + bag * width_ + column, n, share_);
    if (mode_ == BagMode::kMean) divide([&](int64_t) { return static_cast<T>(count); });
    if (mode_ != BagMode::kMax) return;
    std::fill_n(largest_, n, -std::numeric_limits<T>::infinity());
    std::fill_n(held_, n, T{0});
    for (int64_t i = 0; i < count; ++i) {
      const T* x = table_ + row(i) * width_ + column;
      for (int64_t c = 0; c < n; ++c) largest_[c] = x[c] > largest_[c] || x[c] != x[c] ? x[c] : largest_[c];
    }
    for (int64_t i = 0; i < count; ++i) {
      const T* x = table_ + row(i) * width_ + column;
      for (int64_t c = 0; c < n; ++c) held_[c] += x[c] == largest_[c] ? T{1} : T{0};
    }
    divide([&](int64_t c) { return held_[c]; });
  }
  void add(int64_t row, T weight, T* dtable) const {
    T* to = dtable + row * width_ + column_;
    const T* x = table_ + row * width_ + column_;
    if (mode_ == BagMode::kMax)
      for (int64_t c = 0; c < n_; ++c) to[c] += x[c] == largest_[c] ? share_[c] : T{0};
    else
      for (int64_t c = 0; c < n_; ++c) to[c] += weight * share_[c];
  }

 private:
  void divide(auto&& by) {
    for (int64_t c = 0; c < n_; ++c) share_[c] /= by(c);
  }

  const T *dy_, *table_;
  int64_t width_, column_ = 0, n_ = 0;
  BagMode mode_;
  T share_[kColumns] = {}, largest_[kColumns] = {}, held_[kColumns] = {};
};

}  // namespace

void embedding_bag(const KernelContext& context, ConstTensorView table, ConstTensorView indices, ConstTensorView weights, EmbeddingBag options,
                   TensorView y) {
  check(table, indices, weights, options);
  const Bags bags(indices.shape, options);
  const auto &view = bags.view;
  const int64_t width = table.shape[1];
  with_indices(indices, table.shape[0], [&](const auto* index) {
    visit_float(table.dtype, [&]<class T>() {
      const simd::BagRowOps<T>& ops = simd::bag_row_ops<T>();
      T* out = y.as<T>().data();
      parallel_chunks(context, bags.count(), grain_of(view.length * width), [&](int64_t begin, int64_t end) {
        for (int64_t bag = begin; bag < end; ++bag) {
          const int64_t first = bags.first(bag);
          ops.reduce({.table = table.as<T>().data(), .rows = table.shape[0], .width = width,
                      .indices = reinterpret_cast<const std::byte*>(index + first), .wide = sizeof(*index) == 8, .stride = view.inner,
                      .count = view.length, .known = view.inner == 1 ? indices.elements() - first : view.length,
                      .weights = weights ? weights.as<T>().data() + first : nullptr},
                     options.mode, out + bag * width);
        }
      });
    });
  });
}

void embedding_bag_backward(const KernelContext& context, ConstTensorView dy, ConstTensorView table, ConstTensorView indices,
                            ConstTensorView weights, EmbeddingBag options, TensorView dtable) {
  check(table, indices, weights, options);
  const Bags bags(indices.shape, options);
  const auto &view = bags.view;
  const int64_t width = table.shape[1], pieces = ceil_div(width, kColumns);
  with_indices(indices, table.shape[0], [&](const auto* index) {
    visit_float(table.dtype, [&]<class T>() {
      T* out = dtable.as<T>().data();
      std::fill_n(out, dtable.elements(), T{0});
      parallel_chunks(context, pieces, grain_of(indices.elements() * kColumns), [&](int64_t begin, int64_t end) {
        Slope<T> slope(dy.as<T>().data(), table.as<T>().data(), width, options.mode);
        for (int64_t column = begin * kColumns; column < std::min(width, end * kColumns); column += kColumns)
          for (int64_t bag = 0; bag < bags.count(); ++bag) {
            const auto at = [&](int64_t i) { return bags.first(bag) + i * view.inner; };
            const auto row = [&](int64_t i) { return wrapped(index[at(i)], table.shape[0]); };
            slope.start(bag, column, std::min(kColumns, width - column), view.length, row);
            for (int64_t i = 0; i < view.length; ++i) slope.add(row(i), weights ? weights.as<T>()[static_cast<size_t>(at(i))] : T{1}, out);
          }
      });
    });
  });
}

void embedding_bag_weights_backward(const KernelContext& context, ConstTensorView dy, ConstTensorView table, ConstTensorView indices,
                                    EmbeddingBag options, TensorView dweights) {
  check(table, indices, {}, options);
  const Bags bags(indices.shape, options);
  const auto &view = bags.view;
  const int64_t width = table.shape[1];
  with_indices(indices, table.shape[0], [&](const auto* index) {
    visit_float(table.dtype, [&]<class T>() {
      const T *rows = table.as<T>().data(), *grad = dy.as<T>().data();
      T* out = dweights.as<T>().data();
      parallel_chunks(context, bags.count(), grain_of(view.length * width), [&](int64_t begin, int64_t end) {
        for (int64_t bag = begin; bag < end; ++bag)
          for (int64_t i = 0; i < view.length; ++i) {
            const int64_t at = bags.first(bag) + i * view.inner;
            out[at] = simd::row_ops<T>().dot(rows + wrapped(index[at], table.shape[0]) * width, grad + bag * width, width, T{0});
          }
      });
    });
  });
}

}  // namespace tandem::cpu
