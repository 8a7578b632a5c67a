// ai.onnx.ml TreeEnsembleClassifier and TreeEnsembleRegressor (1; 3 adds f64 attributes as tensors), and TreeEnsemble (5), which
// replaces both.
//
// Where the specification is silent (two classes told by one column of votes, base values, which transforms a single score takes)
// this does what onnxruntime does; kernels/api/tree_ensemble.h says in which order votes are summed.
#include "runtime/graph/contexts.h"
#include "runtime/ops/class_labels.h"
#include "runtime/ops/forest.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kClassifier[] = {"base_values",
                                            "base_values_as_tensor",
                                            "class_ids",
                                            "class_nodeids",
                                            "class_treeids",
                                            "class_weights",
                                            "class_weights_as_tensor",
                                            "classlabels_int64s",
                                            "classlabels_strings",
                                            "nodes_falsenodeids",
                                            "nodes_featureids",
                                            "nodes_hitrates",
                                            "nodes_hitrates_as_tensor",
                                            "nodes_missing_value_tracks_true",
                                            "nodes_modes",
                                            "nodes_nodeids",
                                            "nodes_treeids",
                                            "nodes_truenodeids",
                                            "nodes_values",
                                            "nodes_values_as_tensor",
                                            "post_transform"};
constexpr std::string_view kRegressor[] = {"aggregate_function",
                                           "base_values",
                                           "base_values_as_tensor",
                                           "n_targets",
                                           "nodes_falsenodeids",
                                           "nodes_featureids",
                                           "nodes_hitrates",
                                           "nodes_hitrates_as_tensor",
                                           "nodes_missing_value_tracks_true",
                                           "nodes_modes",
                                           "nodes_nodeids",
                                           "nodes_treeids",
                                           "nodes_truenodeids",
                                           "nodes_values",
                                           "nodes_values_as_tensor",
                                           "post_transform",
                                           "target_ids",
                                           "target_nodeids",
                                           "target_treeids",
                                           "target_weights",
                                           "target_weights_as_tensor"};
constexpr std::string_view kEnsemble[] = {
    "aggregate_function", "leaf_targetids",     "leaf_weights",     "membership_values", "n_targets",
    "nodes_falseleafs",   "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates",    "nodes_missing_value_tracks_true",
    "nodes_modes",        "nodes_splits",       "nodes_trueleafs",  "nodes_truenodeids", "post_transform",
    "tree_roots"};

TreeAggregate aggregate_of(const NodeContext& node) {
  const std::string name = node.get_string("aggregate_function", "SUM");
  if (name == "AVERAGE") return TreeAggregate::kAverage;
  if (name == "MIN") return TreeAggregate::kMin;
  if (name == "MAX") return TreeAggregate::kMax;
  node.require(name == "SUM", "aggregate_function must be AVERAGE, SUM, MIN or MAX", name);
  return TreeAggregate::kSum;
}

// Thresholds and votes are compared and summed in f64 if the input or one of the tensors is.
bool in_double(const NodeContext& node, DType x) {
  bool wide = x == DType::kF64;
  for (const auto& [name, value] : node.node().attributes)
    if (const auto* tensor = std::get_if<Tensor>(&value)) wide = wide || tensor->dtype() == DType::kF64;
  return wide;
}

void infer_regression(InferenceContext& node, DType type, int64_t targets) {
  require_features(node);
  node.set_output(0, type, Dims{rows_of(node), Dim(targets)});
}

void infer_regressor(InferenceContext& node) {
  post_transform_of(node);
  aggregate_of(node);
  infer_regression(node, DType::kF32, node.get_int("n_targets", 1));
}

void infer_ensemble(InferenceContext& node) {
  const DType type = node.dtype(0);
  node.require(is_float(type) && type != DType::kBF16, "input must be f32, f64 or f16", name(type));
  infer_regression(node, type, node.get_int("n_targets", 1));
}

void infer_classifier(InferenceContext& node) {
  require_features(node);
  post_transform_of(node);
  const Tensor labels = class_labels(node, "classlabels_int64s");
  node.require(labels.elements() >= 1, "class labels are missing");
  node.set_output(0, labels.dtype(), Dims{rows_of(node)});
  node.set_output(1, DType::kF32, Dims{rows_of(node), Dim(labels.elements())});
}

template <class T>
size_t bytes_of(const Forest<T>& forest) {
  return forest.nodes.size() * sizeof(TreeNode<T>) + forest.vote_weights.size() * (sizeof(T) + sizeof(int32_t)) +
         forest.leaf_votes.size() * sizeof(int64_t);
}

int64_t rows_of(const Shape& x) { return x.rank() < 2 ? 1 : x[0]; }

template <class T>
BoundKernel bind_regression(const BindContext& node, Forest<T> trees, ForestRegression<T> how) {
  const auto forest = std::make_shared<const Forest<T>>(std::move(trees));
  node.require(how.base.empty() || static_cast<int64_t>(how.base.size()) == forest->targets,
               "one base value a target is needed (values, targets)", how.base.size(), forest->targets);
  return {.run = [forest, how = std::move(how)](const KernelContext& context, Inputs in,
                                                Outputs out) { cpu::tree_regress(context, *forest, how, in[0], out[0]); },
          .workspace = cpu::tree_workspace(*forest, rows_of(node.shape(0))),
          .constant_bytes = bytes_of(*forest)};
}

template <class T>
BoundKernel bind_regressor_as(const BindContext& node) {
  return bind_regression<T>(node, read_listed_trees<T>(node, "target", node.get_int("n_targets", 1)),
                            {aggregate_of(node), post_transform_of(node), reals<T>(node, "base_values")});
}
BoundKernel bind_regressor(const BindContext& node) {
  return in_double(node, node.dtype(0)) ? bind_regressor_as<double>(node) : bind_regressor_as<float>(node);
}

template <class T>
BoundKernel bind_ensemble_as(const BindContext& node) {
  const int64_t aggregate = node.get_int("aggregate_function", 1), transform = node.get_int("post_transform", 0);
  node.require(aggregate >= 0 && aggregate <= 3, "aggregate_function must be 0 to 3", aggregate);
  node.require(transform >= 0 && transform <= 4, "post_transform must be 0 to 4", transform);
  return bind_regression<T>(node, read_trees<T>(node),
                            {static_cast<TreeAggregate>(aggregate), static_cast<PostTransform>(transform), {}});
}
BoundKernel bind_ensemble(const BindContext& node) {
  return in_double(node, node.dtype(0)) ? bind_ensemble_as<double>(node) : bind_ensemble_as<float>(node);
}

template <class T>
BoundKernel bind_classifier_as(const BindContext& node) {
  const Tensor labels = class_labels(node, "classlabels_int64s");
  const auto forest = std::make_shared<const Forest<T>>(read_listed_trees<T>(node, "class", labels.elements()));
  ForestClassification<T> how{post_transform_of(node), reals<T>(node, "base_values")};
  node.require(how.base.size() <= static_cast<size_t>(labels.elements()),
               "there are more base values than classes (values, classes)", how.base.size(), labels.elements());
  const auto voted = node.get_ints("class_ids");
  how.one_column = labels.elements() == 2 && std::ranges::all_of(voted, [&](int64_t id) { return id == voted[0]; });
  how.all_positive = std::ranges::all_of(reals<T>(node, "class_weights"), [](T weight) { return weight >= 0; });
  return {.run = [forest, labels, how = std::move(how)](
                     const KernelContext& context, Inputs in,
                     Outputs out) { cpu::tree_classify(context, *forest, how, in[0], labels.view(), out[0], out[1]); },
          .workspace = cpu::tree_workspace(*forest, rows_of(node.shape(0))),
          .constant_bytes = bytes_of(*forest)};
}
BoundKernel bind_classifier(const BindContext& node) {
  return in_double(node, node.dtype(0)) ? bind_classifier_as<double>(node) : bind_classifier_as<float>(node);
}

constexpr OpDef tree_ensemble_classifier_op = {.name = "TreeEnsembleClassifier",
                                               .domain = "ai.onnx.ml",
                                               .min_outputs = 2,
                                               .max_outputs = 2,
                                               .attributes = kClassifier,
                                               .infer = infer_classifier,
                                               .cpu = bind_classifier};
constexpr OpDef tree_ensemble_regressor_op = {.name = "TreeEnsembleRegressor",
                                              .domain = "ai.onnx.ml",
                                              .attributes = kRegressor,
                                              .infer = infer_regressor,
                                              .cpu = bind_regressor};
constexpr OpDef tree_ensemble_op = {.name = "TreeEnsemble",
                                    .domain = "ai.onnx.ml",
                                    .since = 5,
                                    .attributes = kEnsemble,
                                    .infer = infer_ensemble,
                                    .cpu = bind_ensemble};

constexpr const OpDef* kOps[] = {&tree_ensemble_classifier_op, &tree_ensemble_regressor_op, &tree_ensemble_op};

}  // namespace

extern const OpFamily tree_ensemble_ops;
constinit const OpFamily tree_ensemble_ops = kOps;

}  // namespace tandem
