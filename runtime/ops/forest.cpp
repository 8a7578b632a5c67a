#include "runtime/ops/forest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

namespace tandem {
namespace {

constexpr std::string_view kModes[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE",   "BRANCH_GT",
                                       "BRANCH_EQ",  "BRANCH_NEQ", "BRANCH_MEMBER"};
constexpr int64_t kMostNodes = std::numeric_limits<int32_t>::max();

// The elements of an f16, f32 or f64 tensor.
template <class T>
std::vector<T> elements_of(const NodeContext& node, const Tensor& tensor) {
  std::vector<T> values;
  const auto take = [&](const auto& elements, auto convert) {
    for (const auto& element : elements) values.push_back(static_cast<T>(convert(element)));
  };
  const auto same = [](auto v) { return v; };
  switch (tensor.dtype()) {
    case DType::kUndefined: break;
    case DType::kF16: take(tensor.as<F16>(), [](F16 v) { return to_float(v); }); break;
    case DType::kF32: take(tensor.as<float>(), same); break;
    case DType::kF64: take(tensor.as<double>(), same); break;
    default: node.reject("a tensor of numbers must be f16, f32 or f64", name(tensor.dtype()));
  }
  return values;
}

void require_length(const NodeContext& node, std::string_view name, size_t has, size_t wanted) {
  node.require(has == wanted, "an attribute has another length than the others (attribute, has, others)", name, has, wanted);
}

// A forest that grows; what has been added is checked at the end.
template <class T>
class Builder {
 public:
  explicit Builder(const NodeContext& node, int64_t targets) : node_(node) {
    forest_.targets = targets;
    node.require(targets >= 1 && targets <= kMostNodes, "the number of targets or classes is out of range", targets);
  }

  void add_node(int64_t feature, TreeMode mode, T split, bool nan_is_true) {
    node_.require(feature >= 0 && feature < kMostNodes, "a feature id is out of range (node, feature)", forest_.nodes.size(),
                  feature);
    forest_.features = std::max(forest_.features, feature + 1);
    forest_.nodes.push_back({.split = split, .feature = static_cast<int32_t>(feature), .mode = mode, .nan_is_true = nan_is_true});
  }
  void set_children(size_t i, int32_t no, int32_t yes) { forest_.nodes[i].children[0] = no, forest_.nodes[i].children[1] = yes; }
  void add_root(int32_t root) { forest_.roots.push_back(root); }
  void add_vote(int64_t leaf, int64_t target, T weight) {
    node_.require(target >= 0 && target < forest_.targets,
                  "a vote is for a target or class that does not exist (vote, target, targets)", votes_.size(), target,
                  forest_.targets);
    votes_.push_back({static_cast<int32_t>(leaf), static_cast<int32_t>(target)});
    weights_.push_back(weight);
  }
  void set_members(const std::vector<T>& values);

  Forest<T> finish(int64_t leaves) {
    check_shape();
    sort_votes(leaves);
    forest_.plain =
        std::ranges::all_of(forest_.nodes, [](const TreeNode<T>& n) { return n.mode == TreeMode::kLeq && !n.nan_is_true; });
    return std::move(forest_);
  }

 private:
  // Every inner node has one parent at most, and a root none: then no path from a root comes back.
  void check_shape() {
    std::vector<uint8_t> has_parent(forest_.nodes.size());
    for (const TreeNode<T>& parent : forest_.nodes)
      for (int32_t child : parent.children) {
        if (child < 0) continue;
        uint8_t& seen = has_parent[static_cast<size_t>(child)];
        node_.require(!seen, "a node of a tree has two parents (node)", child);
        seen = 1;
      }
    node_.require(!forest_.roots.empty(), "there are no trees");
    for (int32_t root : forest_.roots)
      node_.require(root < 0 || !has_parent[static_cast<size_t>(root)], "the root of a tree has a parent (node)", root);
  }

  // By leaf, keeping their order.
  void sort_votes(int64_t leaves) {
    forest_.leaf_votes.assign(static_cast<size_t>(leaves) + 1, 0);
    for (const TreeVote& vote : votes_) ++forest_.leaf_votes[static_cast<size_t>(vote.leaf) + 1];
    for (size_t i = 1; i < forest_.leaf_votes.size(); ++i) forest_.leaf_votes[i] += forest_.leaf_votes[i - 1];
    std::vector<int64_t> next(forest_.leaf_votes.begin(), forest_.leaf_votes.end());
    forest_.vote_targets.resize(votes_.size());
    forest_.vote_weights.resize(votes_.size());
    for (size_t v = 0; v < votes_.size(); ++v) {
      const auto at = static_cast<size_t>(next[static_cast<size_t>(votes_[v].leaf)]++);
      forest_.vote_targets[at] = votes_[v].target;
      forest_.vote_weights[at] = weights_[v];
    }
  }

  const NodeContext& node_;
  Forest<T> forest_;
  std::vector<TreeVote> votes_;
  std::vector<T> weights_;
};

// One set for each kMember node, in their order, with NaN after each (or between them).
template <class T>
void Builder<T>::set_members(const std::vector<T>& values) {
  auto at = values.begin();
  for (const TreeNode<T>& node : forest_.nodes) {
    forest_.member_sets.push_back(static_cast<int64_t>(forest_.members.size()));
    if (node.mode != TreeMode::kMember) continue;
    node_.require(at != values.end(), "membership_values has fewer sets than there are BRANCH_MEMBER nodes");
    const auto end = std::find_if(at, values.end(), [](T v) { return std::isnan(v); });
    const auto first = static_cast<std::ptrdiff_t>(forest_.members.size());
    forest_.members.insert(forest_.members.end(), at, end);
    std::sort(forest_.members.begin() + first, forest_.members.end());
    at = end == values.end() ? end : end + 1;
  }
  node_.require(at == values.end(), "membership_values has more sets than there are BRANCH_MEMBER nodes");
  if (forest_.members.empty())
    forest_.member_sets.assign(forest_.nodes.size() + 1, 0);
  else
    forest_.member_sets.push_back(static_cast<int64_t>(forest_.members.size()));
}

TreeMode mode_of(const NodeContext& node, std::string_view text) {
  const auto found = std::ranges::find(kModes, text);
  node.require(found != std::ranges::end(kModes) && text != "BRANCH_MEMBER", "a node mode is unknown", text);
  return static_cast<TreeMode>(found - std::ranges::begin(kModes));
}

// Nodes as named in a file: (tree, node) -> position.
class NodeNames {
 public:
  NodeNames(const NodeContext& node, const std::vector<int64_t>& trees, const std::vector<int64_t>& nodes) : node_(node) {
    for (size_t i = 0; i < trees.size(); ++i) names_.emplace_back(trees[i], nodes[i], i);
    std::ranges::sort(names_);
    for (size_t i = 1; i < names_.size(); ++i)
      node.require(std::get<0>(names_[i]) != std::get<0>(names_[i - 1]) || std::get<1>(names_[i]) != std::get<1>(names_[i - 1]),
                   "a node of a tree is there twice (tree, node)", std::get<0>(names_[i]), std::get<1>(names_[i]));
  }
  size_t find(int64_t tree, int64_t id) const {
    const auto found = std::ranges::lower_bound(names_, std::tuple(tree, id, size_t{0}));
    node_.require(found != names_.end() && std::get<0>(*found) == tree && std::get<1>(*found) == id,
                  "a tree has no such node, but something refers to it (tree, node)", tree, id);
    return std::get<2>(*found);
  }

 private:
  const NodeContext& node_;
  std::vector<std::tuple<int64_t, int64_t, size_t>> names_;  // sorted
};

// A tree's root is its first inner node without a parent, or its only node; trees stand in the order in which they first appear.
template <class T>
void add_roots(Builder<T>& builder, const NodeContext& node, const std::vector<int64_t>& trees,
               const std::vector<uint8_t>& has_parent, const std::vector<int32_t>& numbers) {
  std::vector<std::pair<int64_t, size_t>> first;  // (tree, position of its first node), then (tree, position of its root)
  for (size_t i = 0; i < trees.size(); ++i) first.emplace_back(trees[i], i);
  std::ranges::sort(first);
  std::vector<std::pair<size_t, int32_t>> roots;  // (position of the tree's first node, root)
  for (size_t i = 0; i < first.size();) {
    size_t end = i, root = first.size();
    for (; end < first.size() && first[end].first == first[i].first; ++end)
      if (root == first.size() && !has_parent[first[end].second] && numbers[first[end].second] >= 0) root = end;
    if (end == i + 1 && !has_parent[first[i].second]) root = i;
    node.require(root != first.size(), "a tree has no root: each of its inner nodes has a parent (tree)", first[i].first);
    roots.emplace_back(first[i].second, numbers[first[root].second]);
    i = end;
  }
  std::ranges::sort(roots);
  for (const auto& [position, root] : roots) builder.add_root(root);
}

// What each leaf adds, and to which target. `numbers`: of the nodes as they are listed, ~i for leaf i.
template <class T>
void add_votes(Builder<T>& builder, const NodeContext& node, const std::string& prefix, const NodeNames& names,
               const std::vector<int32_t>& numbers, int64_t targets) {
  const auto vote_trees = node.get_ints(prefix + "_treeids"), vote_nodes = node.get_ints(prefix + "_nodeids"),
             vote_targets = node.get_ints(prefix + "_ids");
  const auto weights = reals<T>(node, prefix + "_weights");
  for (const auto& [name, size] :
       {std::pair("_nodeids", vote_nodes.size()), {"_ids", vote_targets.size()}, {"_weights", weights.size()}})
    require_length(node, prefix + name, size, vote_trees.size());
  // skl2onnx writes the number of a leaf once a class, each time for the one target of its decision paths: as in onnxruntime, which
  // these files are made for, the first counts.
  std::vector<uint8_t> voted(prefix == "target" && targets == 1 ? numbers.size() : 0);
  for (size_t v = 0; v < vote_trees.size(); ++v) {
    const int32_t leaf = ~numbers[names.find(vote_trees[v], vote_nodes[v])];
    if (leaf < 0) continue;  // LightGBM's files have votes of inner nodes: they never count
    if (!voted.empty() && std::exchange(voted[static_cast<size_t>(leaf)], 1) != 0) continue;
    builder.add_vote(leaf, vote_targets[v], weights[v]);
  }
}

}  // namespace

template <class T>
std::vector<T> reals(const NodeContext& node, const std::string& name) {
  const auto floats = node.get_floats(name);
  const auto tensor = elements_of<T>(node, node.get_tensor(name + "_as_tensor"));
  node.require(floats.empty() || tensor.empty(), "only one of the list and the tensor may be given", name);
  return floats.empty() ? tensor : std::vector<T>(floats.begin(), floats.end());
}

template <class T>
Forest<T> read_listed_trees(const NodeContext& node, const std::string& prefix, int64_t targets) {
  const auto trees = node.get_ints("nodes_treeids"), ids = node.get_ints("nodes_nodeids"),
             features = node.get_ints("nodes_featureids"), yes = node.get_ints("nodes_truenodeids"),
             no = node.get_ints("nodes_falsenodeids");
  const auto nan_is_true = node.get_ints("nodes_missing_value_tracks_true");
  const auto modes = node.get_strings("nodes_modes");
  const auto splits = reals<T>(node, "nodes_values");
  for (const auto& [name, size] : {std::pair("nodes_nodeids", ids.size()),
                                   {"nodes_featureids", features.size()},
                                   {"nodes_truenodeids", yes.size()},
                                   {"nodes_falsenodeids", no.size()},
                                   {"nodes_modes", modes.size()},
                                   {"nodes_values", splits.size()},
                                   {"nodes_missing_value_tracks_true", nan_is_true.empty() ? trees.size() : nan_is_true.size()}})
    require_length(node, name, size, trees.size());
  const NodeNames names(node, trees, ids);
  Builder<T> builder(node, targets);
  std::vector<int32_t> numbers(trees.size());  // as children are numbered
  int32_t inner = 0, leaves = 0;
  for (size_t i = 0; i < trees.size(); ++i) {
    if (modes[i] == "LEAF") {
      numbers[i] = ~leaves++;
    } else {
      numbers[i] = inner++;
      builder.add_node(features[i], mode_of(node, modes[i]), splits[i], !nan_is_true.empty() && nan_is_true[i] != 0);
    }
  }
  std::vector<uint8_t> has_parent(trees.size());
  for (size_t i = 0; i < trees.size(); ++i) {
    if (numbers[i] < 0) continue;
    const size_t a = names.find(trees[i], no[i]), b = names.find(trees[i], yes[i]);
    has_parent[a] = has_parent[b] = 1;
    builder.set_children(static_cast<size_t>(numbers[i]), numbers[a], numbers[b]);
  }
  add_roots(builder, node, trees, has_parent, numbers);
  add_votes(builder, node, prefix, names, numbers, targets);
  return builder.finish(leaves);
}

template <class T>
Forest<T> read_trees(const NodeContext& node) {
  const auto features = node.get_ints("nodes_featureids"), yes = node.get_ints("nodes_truenodeids"),
             no = node.get_ints("nodes_falsenodeids"), yes_leaf = node.get_ints("nodes_trueleafs"),
             no_leaf = node.get_ints("nodes_falseleafs"), roots = node.get_ints("tree_roots"),
             targets = node.get_ints("leaf_targetids"), nan_is_true = node.get_ints("nodes_missing_value_tracks_true");
  const Tensor modes = node.get_tensor("nodes_modes");
  const auto splits = elements_of<T>(node, node.get_tensor("nodes_splits")),
             weights = elements_of<T>(node, node.get_tensor("leaf_weights"));
  node.require(modes.dtype() == DType::kU8, "nodes_modes must be a tensor of u8", name(modes.dtype()));
  const size_t count = features.size();
  for (const auto& [name, size] : {std::pair("nodes_truenodeids", yes.size()),
                                   {"nodes_falsenodeids", no.size()},
                                   {"nodes_trueleafs", yes_leaf.size()},
                                   {"nodes_falseleafs", no_leaf.size()},
                                   {"nodes_modes", static_cast<size_t>(modes.elements())},
                                   {"nodes_splits", splits.size()},
                                   {"nodes_missing_value_tracks_true", nan_is_true.empty() ? count : nan_is_true.size()}})
    require_length(node, name, size, count);
  require_length(node, "leaf_weights", weights.size(), targets.size());
  Builder<T> builder(node, node.get_int("n_targets", 1));
  for (size_t i = 0; i < count; ++i) {
    const uint8_t mode = modes.as<uint8_t>()[i];
    node.require(mode < std::size(kModes), "a node mode is unknown (node, mode)", i, int{mode});
    builder.add_node(features[i], static_cast<TreeMode>(mode), splits[i], !nan_is_true.empty() && nan_is_true[i] != 0);
  }
  const auto child = [&](int64_t id, bool is_leaf) {
    const size_t limit = is_leaf ? targets.size() : count;
    node.require(id >= 0 && static_cast<size_t>(id) < limit, "a child does not exist (id, nodes or leaves)", id, limit);
    return is_leaf ? ~static_cast<int32_t>(id) : static_cast<int32_t>(id);
  };
  for (size_t i = 0; i < count; ++i) builder.set_children(i, child(no[i], no_leaf[i] != 0), child(yes[i], yes_leaf[i] != 0));
  for (int64_t root : roots) builder.add_root(child(root, false));
  for (size_t i = 0; i < targets.size(); ++i) builder.add_vote(static_cast<int64_t>(i), targets[i], weights[i]);
  builder.set_members(elements_of<T>(node, node.get_tensor("membership_values")));
  return builder.finish(static_cast<int64_t>(targets.size()));
}

template std::vector<float> reals(const NodeContext&, const std::string&);
template std::vector<double> reals(const NodeContext&, const std::string&);
template Forest<float> read_listed_trees(const NodeContext&, const std::string&, int64_t);
template Forest<double> read_listed_trees(const NodeContext&, const std::string&, int64_t);
template Forest<float> read_trees(const NodeContext&);
template Forest<double> read_trees(const NodeContext&);

}  // namespace tandem
