// The families of cases. A new file of cases adds its function here.
#pragma once

#include "tests/conformance/case.h"

namespace tandem::conformance {

void add_unary_cases(Cases& cases);
void add_binary_cases(Cases& cases);
void add_attention_cases(Cases& cases);
void add_reduce_cases(Cases& cases);
void add_region_cases(Cases& cases);
void add_movement_cases(Cases& cases);
void add_memory_cases(Cases& cases);
void add_linear_cases(Cases& cases);
void add_convolution_cases(Cases& cases);
void add_loss_cases(Cases& cases);
void add_normalization_cases(Cases& cases);
void add_optimizer_cases(Cases& cases);
void add_embedding_bag_cases(Cases& cases);
void add_encoder_cases(Cases& cases);
void add_indexing_cases(Cases& cases);
void add_classical_cases(Cases& cases);
void add_text_cases(Cases& cases);
void add_conv_transpose_cases(Cases& cases);
void add_spatial_cases(Cases& cases);
void add_channel_normalization_cases(Cases& cases);
void add_generate_cases(Cases& cases);
void add_resize_cases(Cases& cases);
void add_sampling_cases(Cases& cases);
void add_fold_cases(Cases& cases);
void add_detection_cases(Cases& cases);
void add_recurrent_cases(Cases& cases);
void add_fourier_cases(Cases& cases);
void add_linear_attention_cases(Cases& cases);
void add_einsum_cases(Cases& cases);
void add_element_type_cases(Cases& cases);
void add_quantization_cases(Cases& cases);
void add_conv_chain_cases(Cases& cases);
void add_channels_last_cases(Cases& cases);  // of cases that are there
void add_bf16_cases(Cases& cases);           // likewise

inline constexpr void (*kFamilies[])(Cases&) = {
    add_unary_cases,
    add_binary_cases,
    add_attention_cases,
    add_reduce_cases,
    add_region_cases,
    add_movement_cases,
    add_memory_cases,
    add_linear_cases,
    add_convolution_cases,
    add_loss_cases,
    add_normalization_cases,
    add_optimizer_cases,
    add_embedding_bag_cases,
    add_encoder_cases,
    add_indexing_cases,
    add_classical_cases,
    add_text_cases,
    add_conv_transpose_cases,
    add_spatial_cases,
    add_channel_normalization_cases,
    add_generate_cases,
    add_resize_cases,
    add_sampling_cases,
    add_fold_cases,
    add_detection_cases,
    add_recurrent_cases,
    add_fourier_cases,
    add_linear_attention_cases,
    add_einsum_cases,
    add_element_type_cases,
    add_quantization_cases,
    add_conv_chain_cases,
    add_channels_last_cases, add_bf16_cases,
};

}  // namespace tandem::conformance
