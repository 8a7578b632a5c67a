// Counts of n-grams: texts or integers that follow each other, with the same number of others skipped between them.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "kernels/api/key_index.h"
#include "kernels/base/kernel_context.h"

namespace tandem {

struct NgramRange {
  int64_t shortest = 1, longest = 1, most_skipped = 0;
};

// The n-grams to count, as a tree of their items.
class NgramPool {
 public:
  // `items` (i64 or text, 1-D) holds all 1-grams, then all 2-grams, ...: those of length n begin at starts[n - 1]. N-gram i
  // counts for column columns[i]. Throws InvalidArgument for starts that do not fit, or too few columns.
  NgramPool(ConstTensorView items, std::span<const int64_t> starts, std::span<const int64_t> columns, const NgramRange& range);

  int64_t width() const { return width_; }  // the largest column + 1
  // The number of the item, or KeyIndex::kAbsent.
  template <class T>
  int64_t item(const T& value) const {
    return items_.find(value);
  }
  bool holds_text() const { return items_.holds_text(); }
  const NgramRange& range() const { return range_; }

  // Adds the counts of one row of item numbers.
  void count(std::span<const int64_t> row, float* counts) const;

 private:
  static constexpr int32_t kNone = -1;
  // The child of a node for an item, or kNone.
  int32_t child(int32_t node, int64_t item) const {
    const auto found = children_.find(static_cast<uint64_t>(node) << 32 | static_cast<uint64_t>(item));
    return found == children_.end() ? kNone : found->second;
  }

  KeyIndex items_;
  NgramRange range_;
  int64_t width_ = 0;
  std::unordered_map<uint64_t, int32_t> children_;  // (node, item) -> node
  std::vector<int64_t> column_of_;                  // by node; kNone where no n-gram ends
};

namespace cpu {

// y [rows, width] = the counts for each row of x (text, i32 or i64). The scratch is the row length times threads, in i64.
void count_ngrams(const KernelContext& context, ConstTensorView x, const NgramPool& pool, TensorView y);
size_t ngram_workspace(int64_t row_length, int threads);

}  // namespace cpu
}  // namespace tandem
