// Rows are taken in blocks, and each block goes through one tree after the other, so that a tree's nodes are read from the cache.
#include "kernels/api/tree_ensemble.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBlock = 64;

template <class T>
bool is_member(const Forest<T>& forest, const TreeNode<T>& node, T x) {
  const auto i = static_cast<size_t>(&node - forest.nodes.data());
  const auto first = forest.members.begin() + forest.member_sets[i], last = forest.members.begin() + forest.member_sets[i + 1];
  return std::binary_search(first, last, x);
}

template <class T>
bool holds(const Forest<T>& forest, const TreeNode<T>& node, T x) {
  if (x != x && node.nan_is_true) return true;
  switch (node.mode) {
    case TreeMode::kLeq: return x <= node.split;
    case TreeMode::kLt: return x < node.split;
    case TreeMode::kGte: return x >= node.split;
    case TreeMode::kGt: return x > node.split;
    case TreeMode::kEq: return x == node.split;
    case TreeMode::kNeq: return x != node.split;
    case TreeMode::kMember: return x == x && is_member(forest, node, x);
  }
  return false;
}

template <class T, class X>
int32_t leaf_of(const Forest<T>& forest, int32_t at, const X* row) {
  const TreeNode<T>* nodes = forest.nodes.data();
  if (forest.plain) {
    while (at >= 0) at = nodes[at].children[static_cast<T>(row[nodes[at].feature]) <= nodes[at].split];
  } else {
    while (at >= 0) at = nodes[at].children[holds(forest, nodes[at], static_cast<T>(row[nodes[at].feature]))];
  }
  return ~at;
}

template <class T>
void add_vote(TreeAggregate aggregate, T vote, T& score, uint8_t& voted) {
  if (aggregate == TreeAggregate::kMin)
    score = !voted || vote < score ? vote : score;
  else if (aggregate == TreeAggregate::kMax)
    score = !voted || vote > score ? vote : score;
  else
    score += vote;
  voted = 1;
}

// The votes of all rows, and which targets had any.
template <class T>
struct Scores {
  T* values;
  uint8_t* voted;
  Scores(const KernelContext& context, const Forest<T>& forest, int64_t rows)
      : values(reinterpret_cast<T*>(context.workspace.data())),
        voted(reinterpret_cast<uint8_t*>(values + rows * forest.targets)) {
    ensure(context.workspace.size() >= tree_workspace(forest, rows), "workspace is too small", context.workspace.size());
  }
};

// Calls finish(row, scores, voted) once the votes of a row are counted.
template <class T, class Finish>
void count_votes(const KernelContext& context, const Forest<T>& forest, TreeAggregate aggregate, ConstTensorView x,
                 Finish finish) {
  const int64_t rows = x.shape.rank() < 2 ? 1 : x.shape[0], columns = rows == 0 ? 0 : x.elements() / rows,
                targets = forest.targets;
  require(rows == 0 || columns >= forest.features, "the trees look at more features than the input has (trees, input)",
          forest.features, columns);
  const Scores<T> scores(context, forest, rows);
  const auto run = [&]<class X>() {
    const X* in = x.as<X>().data();
    const int64_t work = kBlock * static_cast<int64_t>(forest.roots.size()) * 8;  // a few nodes a tree
    parallel_chunks(context, ceil_div(rows, kBlock), grain_of(work), [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t first = block * kBlock, last = std::min(rows, first + kBlock);
        std::fill(scores.values + first * targets, scores.values + last * targets, T{0});
        std::fill(scores.voted + first * targets, scores.voted + last * targets, uint8_t{0});
        for (int32_t root : forest.roots)
          for (int64_t r = first; r < last; ++r) {
            const auto leaf = static_cast<size_t>(leaf_of(forest, root, in + r * columns));
            for (auto v = static_cast<size_t>(forest.leaf_votes[leaf]); v < static_cast<size_t>(forest.leaf_votes[leaf + 1]);
                 ++v) {
              const int64_t at = r * targets + forest.vote_targets[v];
              add_vote(aggregate, forest.vote_weights[v], scores.values[at], scores.voted[at]);
            }
          }
        for (int64_t r = first; r < last; ++r) finish(r, scores.values + r * targets, scores.voted + r * targets);
      }
    });
  };
  switch (x.dtype) {
    case DType::kF32: return run.template operator()<float>();
    case DType::kF64: return run.template operator()<double>();
    case DType::kI32: return run.template operator()<int32_t>();
    case DType::kI64: return run.template operator()<int64_t>();
    default: no_kernel_for(x.dtype);
  }
}

// Class scores of one row, transformed in place; the position of the chosen class. REQUIRES two scores at least.
template <class T>
size_t decide(const ForestClassification<T>& how, std::span<T> scores, const uint8_t* voted) {
  const bool two = scores.size() == 2;
  if (two && how.one_column && how.base.size() < 2) {
    scores[0] += how.base.empty() ? T{0} : how.base[0];
    const T score = scores[voted[1]];
    if (voted[1])
      post_transform(how.transform, scores);
    else
      split_score(score, how.transform, how.all_positive, scores);  // one score for both
    return score > (how.all_positive ? T(0.5) : T(0)) ? 1 : 0;
  }
  size_t best = scores.size();
  for (size_t c = 0; c < scores.size(); ++c) {
    if (c < how.base.size()) scores[c] += how.base[c];
    const bool counts = voted[c] || c < how.base.size();
    if (counts && (best == scores.size() || scores[c] > scores[best])) best = c;
  }
  post_transform(how.transform, scores);
  return best == scores.size() ? 0 : best;
}

template <class T>
void store(std::span<const T> scores, TensorView z, int64_t row) {
  visit_float(z.dtype, [&]<class Z>() {
    Z* out = z.as<Z>().data() + row * static_cast<int64_t>(scores.size());
    for (size_t i = 0; i < scores.size(); ++i) out[i] = static_cast<Z>(scores[i]);
  });
}

}  // namespace

template <class T>
void tree_regress(const KernelContext& context, const Forest<T>& forest, const ForestRegression<T>& how, ConstTensorView x,
                  TensorView y) {
  const auto trees = static_cast<T>(forest.roots.size());
  const bool has_base = how.base.size() == static_cast<size_t>(forest.targets);
  count_votes(context, forest, how.aggregate, x, [&](int64_t row, T* scores, const uint8_t*) {
    for (int64_t t = 0; t < forest.targets; ++t) {
      if (how.aggregate == TreeAggregate::kAverage) scores[t] /= trees;
      if (has_base) scores[t] += how.base[static_cast<size_t>(t)];
    }
    const std::span<T> all(scores, static_cast<size_t>(forest.targets));
    post_transform(how.transform, all);
    store<T>(all, y, row);
  });
}

template <class T>
void tree_classify(const KernelContext& context, const Forest<T>& forest, const ForestClassification<T>& how, ConstTensorView x,
                   ConstTensorView labels, TensorView chosen, TensorView z) {
  visit_size(labels.dtype, [&]<class Label>() {
    const auto names = labels.raw<Label>();
    Label* out = chosen ? chosen.raw<Label>().data() : nullptr;
    count_votes(context, forest, TreeAggregate::kSum, x, [&](int64_t row, T* scores, const uint8_t* voted) {
      const std::span<T> all(scores, static_cast<size_t>(forest.targets));
      const size_t best = decide(how, all, voted);
      if (out) out[row] = names[best];
      if (z) store<T>(all, z, row);
    });
  });
}

template <class T>
size_t tree_workspace(const Forest<T>& forest, int64_t rows) {
  return static_cast<size_t>(checked_mul(checked_mul(rows, forest.targets, "tree scores"), sizeof(T) + 1, "tree scores"));
}

template void tree_regress(const KernelContext&, const Forest<float>&, const ForestRegression<float>&, ConstTensorView,
                           TensorView);
template void tree_regress(const KernelContext&, const Forest<double>&, const ForestRegression<double>&, ConstTensorView,
                           TensorView);
template void tree_classify(const KernelContext&, const Forest<float>&, const ForestClassification<float>&, ConstTensorView,
                            ConstTensorView, TensorView, TensorView);
template void tree_classify(const KernelContext&, const Forest<double>&, const ForestClassification<double>&, ConstTensorView,
                            ConstTensorView, TensorView, TensorView);
template size_t tree_workspace(const Forest<float>&, int64_t);
template size_t tree_workspace(const Forest<double>&, int64_t);

}  // namespace tandem::cpu
