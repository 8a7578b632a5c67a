// The epilogue of products and convolutions with quantized operands and result: the inputs that say what the integers stand for.
//
//   x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias?, bias_scale?
//
// are the inputs of QLinearConv and QLinearMatMul, and of tandem's QuantizedConv and QuantizedMatMul, which have a bias in units
// of its own (i32 with bias_scale, or f32) and clamp their result to [lowest, highest], two attributes. Arithmetic:
// kernels/api/requantize.h. Scales that are constants are worked into the kernel's form when it is bound.
#pragma once

#include "kernels/api/requantize.h"
#include "runtime/graph/contexts.h"

namespace tandem {

// Takes pieces off a workspace, in the order in which their sizes were summed.
class Pieces {
 public:
  explicit Pieces(const KernelContext& context) : rest_(context.workspace) {}
  static int64_t bytes(int64_t wanted) { return (wanted + 63) / 64 * 64; }
  // Throws Internal if the workspace is too small.
  std::span<std::byte> take(int64_t bytes);
  // The numbers of a small tensor (f32, f16 or bf16) as f32; 4 bytes each of them.
  std::span<const float> floats(const KernelContext& context, ConstTensorView x);
  // `context` with what is left.
  KernelContext rest_of(KernelContext context) const {
    context.workspace = rest_;
    return context;
  }

 private:
  std::span<std::byte> rest_;
};

// Throw InvalidArgument naming the node and the input.
void require_8_bits(const InferenceContext& node, int input);
void require_zero_type(const InferenceContext& node, int zero, int of);
void require_scale(const InferenceContext& node, int input);
// The types of the ten inputs. Does not look at shapes.
void require_quantized_operands(const InferenceContext& node);

// The number of a zero point: u8 or i8, one element.
int32_t zero_point(ConstTensorView zero);
// Zero points in the name of a layout whose panels hold them; null: none.
std::string zero_text(ConstTensorView zeros);

class QuantizedResult {
 public:
  // One scale of x and y each, one zero point of y; scales of w and the bias are one, or one of `channels`.
  QuantizedResult(const BindContext& node, int64_t channels);
  size_t workspace() const { return fixed_ ? 0 : workspace_; }
  size_t constant_bytes() const { return fixed_ ? memory_.bytes() : 0; }
  // Takes `workspace()` bytes.
  OutputScales scales(const KernelContext& context, Pieces& pieces, Inputs in) const;

 private:
  OutputScales make(const KernelContext& context, Pieces& pieces, std::span<std::byte> memory, Inputs in) const;

  float lowest_, highest_;
  int64_t channels_;
  size_t workspace_ = 0;
  Tensor memory_;  // of what follows
  std::optional<OutputScales> fixed_;
};

}  // namespace tandem
