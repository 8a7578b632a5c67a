// Items become numbers first, once a row; then each start and each step walks down the tree until no n-gram goes on that way.
#include "kernels/api/ngrams.h"

#include <omp.h>

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tandem {

NgramPool::NgramPool(ConstTensorView items, std::span<const int64_t> starts, std::span<const int64_t> columns,
                     const NgramRange& range)
    : items_(items), range_(range), column_of_{kNone} {
  const auto number_of = [&](int64_t i) {
    return items.dtype == DType::kString ? items_.find(items.as<std::string_view>()[static_cast<size_t>(i)])
                                         : items_.find(items.as<int64_t>()[static_cast<size_t>(i)]);
  };
  size_t ngram = 0;
  for (size_t s = 0; s < starts.size(); ++s) {
    const auto length = static_cast<int64_t>(s) + 1;
    const int64_t first = starts[s], last = s + 1 < starts.size() ? starts[s + 1] : items.elements();
    require(first >= 0 && first <= last && last <= items.elements() && (last - first) % length == 0,
            "the pool does not hold whole n-grams of this length (length, from, to, items)", length, first, last,
            items.elements());
    for (int64_t i = first; i < last; i += length, ++ngram) {
      require(ngram < columns.size(), "there are more n-grams than columns (columns)", columns.size());
      if (length < range.shortest || length > range.longest) continue;
      int32_t node = 0;
      for (int64_t k = 0; k < length; ++k) {
        const auto next = static_cast<int32_t>(column_of_.size());
        const auto [at, is_new] =
            children_.try_emplace(static_cast<uint64_t>(node) << 32 | static_cast<uint64_t>(number_of(i + k)), next);
        if (is_new) column_of_.push_back(kNone);
        node = at->second;
      }
      require(column_of_[static_cast<size_t>(node)] == kNone, "an n-gram is there twice (position)", i);
      column_of_[static_cast<size_t>(node)] = columns[ngram];
    }
  }
  for (int64_t column : columns) {
    require(column >= 0 && column < int64_t{1} << 31, "a column is out of range", column);
    width_ = std::max(width_, column + 1);
  }
}

void NgramPool::count(std::span<const int64_t> row, float* counts) const {
  const auto size = static_cast<int64_t>(row.size());
  for (int64_t step = 1; step <= range_.most_skipped + 1; ++step) {
    for (int64_t start = 0; start < size; ++start) {
      int32_t node = 0;
      int64_t at = start;
      for (int64_t length = 1; length <= range_.longest && at < size; ++length, at += step) {
        const int64_t item = row[static_cast<size_t>(at)];
        node = item == KeyIndex::kAbsent ? kNone : child(node, item);
        if (node == kNone) break;
        const int64_t column = column_of_[static_cast<size_t>(node)];
        if (column != kNone && (length > 1 || step == 1)) ++counts[column];  // single items skip nothing
      }
    }
    if (range_.longest == 1) break;
  }
}

namespace cpu {

void count_ngrams(const KernelContext& context, ConstTensorView x, const NgramPool& pool, TensorView y) {
  const int64_t rows = x.shape.rank() < 2 ? 1 : x.shape[0], length = rows == 0 ? 0 : x.elements() / rows, width = pool.width();
  ensure(context.workspace.size() >= ngram_workspace(length, context.threads), "workspace is too small",
         context.workspace.size());
  auto* scratch = reinterpret_cast<int64_t*>(context.workspace.data());
  float* counts = y.as<float>().data();
  const auto run = [&]<class T>() {
    const T* in = x.as<T>().data();
#pragma omp parallel for num_threads(context.threads) if (rows > 1 && x.elements() > 256) schedule(static)
    for (int64_t r = 0; r < rows; ++r) {
      const std::span<int64_t> items(scratch + omp_get_thread_num() * length, static_cast<size_t>(length));
      for (int64_t i = 0; i < length; ++i) items[static_cast<size_t>(i)] = pool.item(in[r * length + i]);
      std::fill_n(counts + r * width, width, 0.0f);
      pool.count(items, counts + r * width);
    }
  };
  if (x.dtype == DType::kString) return run.template operator()<std::string_view>();
  x.dtype == DType::kI32 ? run.template operator()<int32_t>() : run.template operator()<int64_t>();
}

size_t ngram_workspace(int64_t row_length, int threads) {
  return static_cast<size_t>(checked_mul(checked_mul(row_length, threads, "n-grams"), sizeof(int64_t), "n-grams"));
}

}  // namespace cpu
}  // namespace tandem
