// SkipLayerNormalization, SkipSimplifiedLayerNormalization, SimplifiedLayerNormalization (of the default domain, though not
// ONNX's) and EmbedLayerNormalization.
#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kEpsilonAttribute[] = {"epsilon"};
constexpr std::string_view kSimplifiedAttributes[] = {"axis", "epsilon", "stash_type"};
constexpr std::string_view kEmbedAttributes[] = {"epsilon", "mask_index_type"};
constexpr float kSkipEpsilon = 1e-12f, kSimplifiedEpsilon = 1e-5f;

void skip_layer_normalization(ContribContext& node) {
  const ValueId sum = node.sum({node.input(0), node.input(4), node.input(1)});
  const Attributes attributes = {{"axis", int64_t{-1}}, {"epsilon", node.get_float("epsilon", kSkipEpsilon)}};
  const auto y = node.emit_many("LayerNormalization", {sum, node.input(2), node.input(3)},
                                node.has_output(1) || node.has_output(2) ? 3 : 1, attributes);
  for (size_t i = 0; i < y.size(); ++i) node.set_output(static_cast<int>(i), y[i]);
  node.set_output(3, sum);
}

// 1 / sqrt(mean(x^2) + epsilon) over the last axis, in f32.
ValueId inverse_deviation(ContribContext& node, ValueId x, double epsilon) {
  const ValueId wide = node.cast(x, DType::kF32);
  const ValueId mean = node.emit("ReduceMean", {node.emit("Mul", {wide, wide}), node.ints({-1})});
  return node.emit("Reciprocal", {node.emit("Sqrt", {node.emit("Add", {mean, node.scalar(epsilon, DType::kF32)})})});
}

void skip_simplified(ContribContext& node) {
  node.refuse_outputs({1});
  const ValueId sum = node.sum({node.input(0), node.input(3), node.input(1)});
  const float epsilon = node.get_float("epsilon", kSkipEpsilon);
  node.set_output(0, node.emit("RMSNormalization", {sum, node.input(2)}, {{"axis", int64_t{-1}}, {"epsilon", epsilon}}));
  if (node.has_output(2)) node.set_output(2, inverse_deviation(node, sum, static_cast<double>(epsilon)));
  node.set_output(3, sum);
}

// The scale may have another type than X; the result has that of the scale.
void simplified(ContribContext& node) {
  const ValueId x = node.input(0), scale = node.input(1);
  const float epsilon = node.get_float("epsilon", kSimplifiedEpsilon);
  const int64_t axis = node.get_int("axis", -1);
  node.require(!node.has_output(1) || axis == -1 || axis == node.rank(x) - 1, "inv_std_var is supported for the last axis", axis);
  const ValueId y = node.emit("RMSNormalization", {x, node.cast(scale, node.dtype(x))}, {{"axis", axis}, {"epsilon", epsilon}});
  node.set_output(0, node.cast(y, node.dtype(scale)));
  if (node.has_output(1)) node.set_output(1, inverse_deviation(node, x, static_cast<double>(epsilon)));
}

enum EmbedInput { kWords, kSegments, kWordTable, kPositionTable, kSegmentTable, kGamma, kBeta, kMask, kPositions };

void embed_layer_normalization(ContribContext& node) {
  node.need_inputs({kWordTable, kPositionTable, kGamma, kBeta});
  const ValueId words = node.input(kWords);
  const ValueId word = node.emit("Gather", {node.input(kWordTable), words});
  const ValueId positions = node.input(kPositions);
  const ValueId position =
      positions != kNoValue
          ? node.emit("Gather", {node.input(kPositionTable), positions})
          : node.emit("Slice", {node.input(kPositionTable), node.ints({0}), node.size_value(words, 1, true), node.ints({0})});
  ValueId segment = kNoValue;
  if (node.has_input(kSegments) && node.has_input(kSegmentTable))
    segment = node.emit("Gather", {node.input(kSegmentTable), node.input(kSegments)});
  const ValueId sum = node.sum({word, position, segment});
  const Attributes attributes = {{"axis", int64_t{-1}}, {"epsilon", node.get_float("epsilon", kSkipEpsilon)}};
  node.set_output(0, node.emit("LayerNormalization", {sum, node.input(kGamma), node.input(kBeta)}, attributes));
  if (node.has_output(1)) {
    // How many words the mask keeps; without a mask onnxruntime says 0.
    const ValueId counted =
        node.has_input(kMask) ? node.input(kMask) : node.emit("Mul", {words, node.scalar(0, node.dtype(words))});
    node.set_output(1, node.emit("ReduceSum", {counted, node.ints({1})}, {{"keepdims", int64_t{0}}}));
  }
  node.set_output(2, sum);
}

constexpr ContribOp kOps[] = {
    contrib_op("SkipLayerNormalization", 3, 5, 4, kEpsilonAttribute, skip_layer_normalization),
    contrib_op("SkipSimplifiedLayerNormalization", 3, 4, 4, kEpsilonAttribute, skip_simplified),
    contrib_op("SimplifiedLayerNormalization", 2, 2, 2, kSimplifiedAttributes, simplified, ""),
    contrib_op("EmbedLayerNormalization", 1, 9, 3, kEmbedAttributes, embed_layer_normalization),
};

}  // namespace

constinit const ContribFamily contrib_normalization_ops = kOps;

}  // namespace tandem
