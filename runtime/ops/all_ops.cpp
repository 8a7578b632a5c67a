// The list of all operators, and the only one: each file of this folder ends with its family, all families stand here. A test
// checks that none is missing.
#include "runtime/ops/all_ops.h"

#include <algorithm>
#include <tuple>
#include <vector>

namespace tandem {

// clang-format off: one a line
extern const OpFamily activations_ops;
extern const OpFamily all_reduce_ops;
extern const OpFamily arg_reduce_ops;
extern const OpFamily attention_ops;
extern const OpFamily axis_normalization_ops;
extern const OpFamily batch_normalization_ops;
extern const OpFamily bf16_matmul_ops;
extern const OpFamily bf16_normalization_ops;
extern const OpFamily bitwise_ops;
extern const OpFamily cast_ops;
extern const OpFamily causal_conv_ops;
extern const OpFamily center_crop_pad_ops;
extern const OpFamily channels_last_conv_chain_ops;
extern const OpFamily channels_last_conv_ops;
extern const OpFamily channels_last_pool_ops;
extern const OpFamily clip_ops;
extern const OpFamily concat_ops;
extern const OpFamily constant_ops;
extern const OpFamily control_flow_ops;
extern const OpFamily conv_ops;
extern const OpFamily conv_transpose_ops;
extern const OpFamily copy_ops;
extern const OpFamily cross_entropy_ops;
extern const OpFamily deform_conv_ops;
extern const OpFamily depth_to_space_ops;
extern const OpFamily determinant_ops;
extern const OpFamily dropout_ops;
extern const OpFamily einsum_ops;
extern const OpFamily elementwise_binary_ops;
extern const OpFamily elementwise_unary_ops;
extern const OpFamily elementwise_variadic_ops;
extern const OpFamily embedding_bag_ops;
extern const OpFamily expand_ops;
extern const OpFamily feature_scaling_ops;
extern const OpFamily feature_vectorizer_ops;
extern const OpFamily flex_attention_ops;
extern const OpFamily fold_ops;
extern const OpFamily fourier_ops;
extern const OpFamily fused_attention_ops;
extern const OpFamily gather_ops;
extern const OpFamily gemm_ops;
extern const OpFamily gemm_grad_ops;
extern const OpFamily generate_ops;
extern const OpFamily global_pool_ops;
extern const OpFamily grid_sample_ops;
extern const OpFamily group_normalization_ops;
extern const OpFamily image_decoder_ops;
extern const OpFamily imputer_ops;
extern const OpFamily integer_conv_ops;
extern const OpFamily integer_matmul_ops;
extern const OpFamily label_encoder_ops;
extern const OpFamily limited_broadcast_ops;
extern const OpFamily linear_model_ops;
extern const OpFamily linear_attention_ops;
extern const OpFamily lrn_ops;
extern const OpFamily matmul_ops;
extern const OpFamily murmur_hash_ops;
extern const OpFamily non_max_suppression_ops;
extern const OpFamily non_zero_ops;
extern const OpFamily one_hot_ops;
extern const OpFamily one_hot_encoder_ops;
extern const OpFamily optimizer_ops;
extern const OpFamily optional_ops;
extern const OpFamily pack_ops;
extern const OpFamily pad_ops;
extern const OpFamily matmul_nbits_ops;
extern const OpFamily pool_ops;
extern const OpFamily prelu_ops;
extern const OpFamily random_ops;
extern const OpFamily recurrent_ops;
extern const OpFamily qlinear_ops;
extern const OpFamily quantize_linear_ops;
extern const OpFamily quantized_elementwise_ops;
extern const OpFamily reduce_ops;
extern const OpFamily regex_full_match_ops;
extern const OpFamily region_ops;
extern const OpFamily reshape_ops;
extern const OpFamily resize_ops;
extern const OpFamily reverse_sequence_ops;
extern const OpFamily row_normalization_ops;
extern const OpFamily roi_pool_ops;
extern const OpFamily rotary_embedding_ops;
extern const OpFamily scan_ops;
extern const OpFamily scatter_ops;
extern const OpFamily sequence_ops;
extern const OpFamily sequence_map_ops;
extern const OpFamily shape_ops;
extern const OpFamily slice_ops;
extern const OpFamily softmax_ops;
extern const OpFamily split_to_sequence_ops;
extern const OpFamily string_normalizer_ops;
extern const OpFamily string_split_ops;
extern const OpFamily svm_ops;
extern const OpFamily tensor_scatter_ops;
extern const OpFamily tf_idf_vectorizer_ops;
extern const OpFamily tokenizer_ops;
extern const OpFamily top_k_ops;
extern const OpFamily training_update_ops;
extern const OpFamily transpose_ops;
extern const OpFamily tree_ensemble_ops;
extern const OpFamily trigonometry_ops;
extern const OpFamily trilu_ops;
extern const OpFamily unique_ops;
extern const OpFamily where_ops;
extern const OpFamily winograd_planes_ops;
extern const OpFamily zip_map_ops;

namespace {

constexpr const OpFamily* kFamilies[] = {
    &activations_ops,
    &all_reduce_ops,
    &arg_reduce_ops,
    &attention_ops,
    &axis_normalization_ops,
    &batch_normalization_ops,
    &bf16_matmul_ops, &bf16_normalization_ops, &bitwise_ops,
    &cast_ops,
    &causal_conv_ops,
    &center_crop_pad_ops,
    &channels_last_conv_chain_ops,
    &channels_last_conv_ops,
    &channels_last_pool_ops,
    &clip_ops,
    &concat_ops,
    &constant_ops,
    &control_flow_ops,
    &conv_ops,
    &conv_transpose_ops,
    &copy_ops,
    &cross_entropy_ops,
    &deform_conv_ops,
    &depth_to_space_ops,
    &determinant_ops,
    &dropout_ops,
    &einsum_ops,
    &elementwise_binary_ops,
    &elementwise_unary_ops,
    &elementwise_variadic_ops,
    &embedding_bag_ops,
    &expand_ops,
    &feature_scaling_ops,
    &feature_vectorizer_ops,
    &flex_attention_ops,
    &fold_ops,
    &fourier_ops,
    &fused_attention_ops,
    &gather_ops,
    &gemm_ops,
    &gemm_grad_ops,
    &generate_ops,
    &global_pool_ops,
    &grid_sample_ops,
    &group_normalization_ops,
    &image_decoder_ops,
    &imputer_ops,
    &integer_conv_ops,
    &integer_matmul_ops,
    &label_encoder_ops,
    &limited_broadcast_ops,
    &linear_model_ops,
    &linear_attention_ops,
    &lrn_ops,
    &matmul_ops,
    &murmur_hash_ops,
    &non_max_suppression_ops,
    &non_zero_ops,
    &one_hot_ops,
    &one_hot_encoder_ops,
    &optimizer_ops,
    &optional_ops,
    &pack_ops,
    &pad_ops,
    &matmul_nbits_ops,
    &pool_ops,
    &prelu_ops,
    &random_ops,
    &recurrent_ops,
    &qlinear_ops,
    &quantize_linear_ops,
    &quantized_elementwise_ops,
    &reduce_ops,
    &regex_full_match_ops,
    &region_ops,
    &reshape_ops,
    &resize_ops,
    &reverse_sequence_ops,
    &row_normalization_ops,
    &roi_pool_ops,
    &rotary_embedding_ops,
    &scan_ops,
    &scatter_ops,
    &sequence_ops,
    &sequence_map_ops,
    &shape_ops,
    &slice_ops,
    &softmax_ops,
    &split_to_sequence_ops,
    &string_normalizer_ops,
    &string_split_ops,
    &svm_ops,
    &tensor_scatter_ops,
    &tf_idf_vectorizer_ops,
    &tokenizer_ops,
    &top_k_ops,
    &training_update_ops,
    &transpose_ops,
    &tree_ensemble_ops,
    &trigonometry_ops,
    &trilu_ops,
    &unique_ops,
    &where_ops,
    &winograd_planes_ops,
    &zip_map_ops,
};
// clang-format on

std::vector<const OpDef*> sorted_ops() {
  std::vector<const OpDef*> ops;
  for (const OpFamily* family : kFamilies) ops.insert(ops.end(), family->begin(), family->end());
  std::ranges::sort(ops, {}, [](const OpDef* def) { return std::tie(def->domain, def->name, def->since); });
  return ops;
}

}  // namespace

std::span<const OpDef* const> all_ops() {
  static const std::vector<const OpDef*> ops = sorted_ops();
  return ops;
}

}  // namespace tandem
