// The attributes of the tree ensembles of ai.onnx.ml, turned into flat arrays. Everything in them is checked here: lengths,
// indices, targets, and that no tree has a cycle or a node with two parents, so that evaluation ends whatever the input.
#pragma once

#include <string>

#include "kernels/api/tree_ensemble.h"
#include "runtime/graph/contexts.h"

namespace tandem {

// Numbers that are the attribute `name` (floats) or `name`_as_tensor; empty if there is neither.
template <class T>
std::vector<T> reals(const NodeContext& node, const std::string& name);

// TreeEnsembleClassifier and -Regressor (1, 3). `votes` is the prefix of the attributes of the leaves, "class" or "target".
template <class T>
Forest<T> read_listed_trees(const NodeContext& node, const std::string& votes, int64_t targets);

// TreeEnsemble (5).
template <class T>
Forest<T> read_trees(const NodeContext& node);

extern template std::vector<float> reals(const NodeContext&, const std::string&);
extern template std::vector<double> reals(const NodeContext&, const std::string&);
extern template Forest<float> read_listed_trees(const NodeContext&, const std::string&, int64_t);
extern template Forest<double> read_listed_trees(const NodeContext&, const std::string&, int64_t);
extern template Forest<float> read_trees(const NodeContext&);
extern template Forest<double> read_trees(const NodeContext&);

}  // namespace tandem
