// The list of all operators, and the only one: sorted by domain, name and version. A test checks the order, and that no OpDef of this
// folder is missing.
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {

extern const OpDef
    abs_op, adam_op, add_op, all_reduce_start_op, all_reduce_wait_op, and_op, arg_max_op, arg_min_op,
    array_feature_extractor_op, assign_op, average_pool_grad_op, average_pool_op, batch_normalization_grad_op,
    batch_normalization_op, binarizer_op, cast_op, category_mapper_op, ceil_op, clip_grad_op, clip_op_11, clip_op_6,
    concat_op, constant_of_shape_op, constant_op, conv_grad_input_op, conv_grad_weight_op, conv_op, copy_to_device_op,
    copy_to_host_op, cos_op, cumsum_op, div_op,
    dropout_op_10, dropout_op_12, dropout_op_7, elu_grad_op, elu_op, equal_op, erf_grad_op, erf_op, exp_op, expand_op,
    feature_vectorizer_op, flatten_op, floor_op, fused_conv_op, fused_gemm_op, fused_matmul_op, gather_elements_grad_op,
    gather_elements_op, gather_grad_op, gather_op, gelu_grad_op, gelu_op, gemm_op, global_average_pool_grad_op,
    global_average_pool_op, global_max_pool_grad_op, global_max_pool_op, greater_op, greater_or_equal_op,
    hard_sigmoid_grad_op, hard_sigmoid_op, hardmax_op_1, hardmax_op_13, identity_op, imputer_op, internal_matmul_op,
    is_inf_op, is_nan_op, label_encoder_op_1, label_encoder_op_2, label_encoder_op_4, layer_normalization_grad_op,
    layer_normalization_op, leaky_relu_grad_op, leaky_relu_op, less_op, less_or_equal_op, log_op, log_softmax_grad_op,
    log_softmax_op_1, log_softmax_op_13, matmul_op, max_op, max_pool_grad_op, max_pool_op, mean_op, min_op, mod_op, mul_op,
    neg_op, nll_loss_grad_op, nll_loss_op, normalizer_op, not_op, one_hot_encoder_op, one_hot_op, or_op, pack_op, pad_grad_op,
    pad_op_11, pad_op_2, pow_op, random_dropout_op, range_op, reciprocal_op, reduce_l1_op_1, reduce_l1_op_18, reduce_l2_op_1,
    reduce_l2_op_18, reduce_log_sum_exp_op_1, reduce_log_sum_exp_op_18, reduce_log_sum_op_1, reduce_log_sum_op_18,
    reduce_max_op_1, reduce_max_op_18, reduce_mean_op_1, reduce_mean_op_18, reduce_min_op_1, reduce_min_op_18,
    reduce_prod_op_1, reduce_prod_op_18, reduce_sum_op_1, reduce_sum_op_13, reduce_sum_square_op_1, reduce_sum_square_op_18,
    reduce_to_shape_op, relu_grad_op, relu_op, reshape_op_1, reshape_op_5, round_op, scaler_op, sgd_op, shape_op,
    sigmoid_grad_op, sigmoid_op, sign_op, sin_op, size_op, slice_grad_op, slice_op_1, slice_op_10,
    softmax_cross_entropy_grad_op, softmax_cross_entropy_op, softmax_grad_op, softmax_op_1, softmax_op_13, softplus_grad_op,
    softplus_op, split_op_13, split_op_18, split_op_2, sqrt_op, squeeze_op_1, squeeze_op_13, sub_op, sum_of_squares_op,
    sum_op, tanh_grad_op, tanh_op, tile_grad_op, tile_op, transpose_op, trilu_op, unsqueeze_op_1, unsqueeze_op_13, view_op,
    where_op, xor_op;

namespace {

constexpr const OpDef* kAllOps[] = {
    &abs_op, &add_op, &and_op, &arg_max_op, &arg_min_op, &average_pool_op, &batch_normalization_op, &cast_op, &ceil_op,
    &clip_op_6, &clip_op_11, &concat_op, &constant_op, &constant_of_shape_op, &conv_op, &cos_op, &cumsum_op, &div_op,
    &dropout_op_7, &dropout_op_10, &dropout_op_12, &elu_op, &equal_op, &erf_op, &exp_op, &expand_op, &flatten_op, &floor_op,
    &gather_op, &gather_elements_op, &gelu_op, &gemm_op, &global_average_pool_op, &global_max_pool_op, &greater_op,
    &greater_or_equal_op, &hard_sigmoid_op, &hardmax_op_1, &hardmax_op_13, &identity_op, &is_inf_op, &is_nan_op,
    &layer_normalization_op, &leaky_relu_op, &less_op, &less_or_equal_op, &log_op, &log_softmax_op_1, &log_softmax_op_13,
    &matmul_op, &max_op, &max_pool_op, &mean_op, &min_op, &mod_op, &mul_op, &neg_op, &nll_loss_op, &not_op, &one_hot_op,
    &or_op, &pad_op_2, &pad_op_11, &pow_op, &range_op, &reciprocal_op, &reduce_l1_op_1, &reduce_l1_op_18, &reduce_l2_op_1,
    &reduce_l2_op_18, &reduce_log_sum_op_1, &reduce_log_sum_op_18, &reduce_log_sum_exp_op_1, &reduce_log_sum_exp_op_18,
    &reduce_max_op_1, &reduce_max_op_18, &reduce_mean_op_1, &reduce_mean_op_18, &reduce_min_op_1, &reduce_min_op_18,
    &reduce_prod_op_1, &reduce_prod_op_18, &reduce_sum_op_1, &reduce_sum_op_13, &reduce_sum_square_op_1,
    &reduce_sum_square_op_18, &relu_op, &reshape_op_1, &reshape_op_5, &round_op, &shape_op, &sigmoid_op, &sign_op, &sin_op,
    &size_op, &slice_op_1, &slice_op_10, &softmax_op_1, &softmax_op_13, &softmax_cross_entropy_op, &softplus_op, &split_op_2,
    &split_op_13, &split_op_18, &sqrt_op, &squeeze_op_1, &squeeze_op_13, &sub_op, &sum_op, &tanh_op, &tile_op, &transpose_op,
    &trilu_op, &unsqueeze_op_1, &unsqueeze_op_13, &where_op, &xor_op, &array_feature_extractor_op, &binarizer_op,
    &category_mapper_op, &feature_vectorizer_op, &imputer_op, &label_encoder_op_1, &label_encoder_op_2, &label_encoder_op_4,
    &normalizer_op, &one_hot_encoder_op, &scaler_op, &adam_op, &all_reduce_start_op, &all_reduce_wait_op, &assign_op,
    &average_pool_grad_op, &batch_normalization_grad_op, &clip_grad_op, &conv_grad_input_op, &conv_grad_weight_op,
    &copy_to_device_op, &copy_to_host_op, &elu_grad_op, &erf_grad_op, &fused_conv_op, &fused_gemm_op, &fused_matmul_op, &gather_elements_grad_op, &gather_grad_op,
    &gelu_grad_op, &global_average_pool_grad_op, &global_max_pool_grad_op, &hard_sigmoid_grad_op,
    &layer_normalization_grad_op, &leaky_relu_grad_op, &log_softmax_grad_op, &internal_matmul_op, &max_pool_grad_op,
    &nll_loss_grad_op, &pack_op, &pad_grad_op, &random_dropout_op, &reduce_to_shape_op, &relu_grad_op, &sgd_op,
    &sigmoid_grad_op, &slice_grad_op, &softmax_cross_entropy_grad_op, &softmax_grad_op, &softplus_grad_op, &sum_of_squares_op,
    &tanh_grad_op, &tile_grad_op, &view_op,
};

}  // namespace

std::span<const OpDef* const> all_ops() { return kAllOps; }

}  // namespace tandem
