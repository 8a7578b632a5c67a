// Ensembles of decision trees in flat arrays, evaluated without recursion.
//
// Votes of a row are summed tree by tree in the order of the roots, in T: onnxruntime's order with one thread, and ours with any
// number.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/class_scores.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// The numbers are those of TreeEnsemble-5.
enum class TreeMode : uint8_t { kLeq, kLt, kGte, kGt, kEq, kNeq, kMember };
enum class TreeAggregate : uint8_t { kAverage, kSum, kMin, kMax };

// A child is the number of an inner node, or ~number of a leaf.
template <class T>
struct TreeNode {
  T split = 0;
  int32_t feature = 0;
  int32_t children[2] = {};  // where the comparison is false, and where it is true
  TreeMode mode = TreeMode::kLeq;
  bool nan_is_true = false;
};

struct TreeVote {
  int32_t leaf, target;
};

template <class T>
struct Forest {
  std::vector<TreeNode<T>> nodes;
  std::vector<int32_t> roots;       // children in the sense above: a tree may be one leaf
  std::vector<int64_t> leaf_votes;  // votes of leaf i: [leaf_votes[i], leaf_votes[i + 1])
  std::vector<int32_t> vote_targets;
  std::vector<T> vote_weights;
  std::vector<int64_t>
      member_sets;         // of a kMember node: [member_sets[i], member_sets[i + 1]) of `members`; empty without such nodes
  std::vector<T> members;  // each set in ascending order
  int64_t targets = 1;
  int64_t features = 0;  // columns that the nodes look at: the largest feature + 1
  bool plain = false;    // every node is kLeq and NaN goes where it is false
};

// What becomes of the votes: aggregate, base values (none, one for the only target, or one a target), post transform.
template <class T>
struct ForestRegression {
  TreeAggregate aggregate = TreeAggregate::kSum;
  PostTransform transform = PostTransform::kNone;
  std::vector<T> base;
};

template <class T>
struct ForestClassification {
  PostTransform transform = PostTransform::kNone;
  std::vector<T> base;
  bool one_column = false;    // of two classes only one has votes, which tell both
  bool all_positive = false;  // no vote is negative: the one column is a share, the threshold 1/2; else 0
};

namespace cpu {

// x is [rows, columns] or one row, of f32, f64, i32 or i64, with at least `features` columns (InvalidArgument otherwise); y is
// [rows, targets] of f32 or f64.
template <class T>
void tree_regress(const KernelContext&, const Forest<T>&, const ForestRegression<T>&, ConstTensorView x, TensorView y);

// The targets are classes: chosen[row] = labels[best class], any element type; z [rows, classes] of f32 or f64.
template <class T>
void tree_classify(const KernelContext&, const Forest<T>&, const ForestClassification<T>&, ConstTensorView x,
                   ConstTensorView labels, TensorView chosen, TensorView z);

// Bytes of workspace for either, for this many rows or fewer.
template <class T>
size_t tree_workspace(const Forest<T>&, int64_t rows);

}  // namespace cpu
}  // namespace tandem
