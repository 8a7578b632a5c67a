// Encoders of raw columns (ai.onnx.ml), with onnxruntime's semantics. Features lie along axis 1 of a matrix, or axis 0 of a
// vector.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/api/key_index.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

enum class FeatureNorm : uint8_t { kMax, kL1, kL2 };

// Along which axis of a shape the features lie: axis 1, or axis 0 of a vector.
inline AxisView feature_view(const Shape& shape) { return AxisView(shape, shape.rank() > 1 ? 1 : 0); }

namespace cpu {

// y = x, where it equals `replaced` (NaN equals NaN) the imputed value of its feature. `imputed` has one value or one a feature;
// all have x's type.
void impute(const KernelContext& context, ConstTensorView x, TensorView y, ConstTensorView replaced, ConstTensorView imputed);

// y = (x - offset) * scale in f32; each has one value or one a feature.
void scale_features(const KernelContext& context, ConstTensorView x, TensorView y, std::span<const float> offset,
                    std::span<const float> scale);

// y = x / norm over the features in f32; a norm of 0 divides nothing.
void normalize_features(const KernelContext& context, ConstTensorView x, TensorView y, FeatureNorm norm);

// y = x > threshold, as 0 or 1 of x's type.
void binarize(const KernelContext& context, ConstTensorView x, TensorView y, float threshold);

// y [x.shape, categories] in f32. Numbers are truncated to integers before they are looked up. An unknown category gives zeros,
// or throws InvalidArgument naming it if `refuse_unknown`.
void one_hot_encode(const KernelContext& context, ConstTensorView x, TensorView y, const KeyIndex& categories,
                    bool refuse_unknown);

// y[i] = values[position of x[i] in keys], or fallback[0]. Strings of y point into `values` and `fallback`.
void encode_labels(const KernelContext& context, ConstTensorView x, TensorView y, const KeyIndex& keys, ConstTensorView values,
                   ConstTensorView fallback);

// y [rows, sum of widths] in f32: the inputs side by side, each cut or filled with zeros to its width; without
// widths each is as wide as it is.
void vectorize_features(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView y,
                        std::span<const int64_t> widths);

// y[..., i] = x[..., indices[i]] for any element type. Throws InvalidArgument for an index outside the last axis.
void extract_features(const KernelContext& context, ConstTensorView x, ConstTensorView indices, TensorView y);

}  // namespace cpu

// The twins: the same contracts for numbers, in device memory, on the session's stream; text stays on the CPU. Tables
// (`replaced`, `imputed`, `offset`, `scale`, `categories`, `keys`, `values`, `fallback`) are in host memory, as on the CPU, and
// travel in the launches: one launch for 384 features or categories, or for 192 labels. A kernel on a GPU cannot throw: where the
// CPU refuses, an unknown category gives a row of NaN and an index outside gives zeros.
namespace cuda {

void impute(const KernelContext& context, ConstTensorView x, TensorView y, ConstTensorView replaced, ConstTensorView imputed);
void scale_features(const KernelContext& context, ConstTensorView x, TensorView y, std::span<const float> offset,
                    std::span<const float> scale);
void normalize_features(const KernelContext& context, ConstTensorView x, TensorView y, FeatureNorm norm);
void binarize(const KernelContext& context, ConstTensorView x, TensorView y, float threshold);
void one_hot_encode(const KernelContext& context, ConstTensorView x, TensorView y, const KeyIndex& categories,
                    bool refuse_unknown);
void encode_labels(const KernelContext& context, ConstTensorView x, TensorView y, const KeyIndex& keys, ConstTensorView values,
                   ConstTensorView fallback);
void vectorize_features(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView y,
                        std::span<const int64_t> widths);
void extract_features(const KernelContext& context, ConstTensorView x, ConstTensorView indices, TensorView y);

}  // namespace cuda
}  // namespace tandem
