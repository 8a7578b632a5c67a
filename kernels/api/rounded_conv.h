// Convolutions of f32 and their two gradients whose operands are rounded to bf16 as they are packed, for training on CPUs that multiply bf16: the
// functions of conv.h, and their operands and results, in f32.
//
// Numbers are rounded to nearest, ties to even; products are exact, sums are f32; bias, residual and activation are applied to the sum. The order
// of the sums depends on the instruction set, the geometry and, of weights' gradients, the batch: bits do not depend on the threads. AMX and
// AVX-512 BF16 take denormal numbers for 0.
#pragma once

#include "kernels/api/conv.h"

namespace tandem::cpu {

// Whether there is a kernel: not for groups, whose products are short.
bool has_rounded_conv(const ConvGeometry&);

// What a multiply-add takes of the time of one of direct sums of f32, packing included; 1 where the tier has no products of bf16.
double rounded_conv_price(Isa isa = chosen_isa());

// Bytes, for this plane and all smaller ones, and any batch.
ConvWorkspace rounded_conv_workspace(const ConvGeometry&, int threads, Isa isa = chosen_isa());

// As conv, conv_input_grad and conv_weight_grad. Throw Internal if shapes, types or the workspace do not fit.
void rounded_conv(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView w, TensorView y,
                  const ConvEpilogue& epilogue = {}, Isa isa = chosen_isa());
void rounded_conv_input_grad(const KernelContext&, const ConvGeometry&, ConstTensorView w, ConstTensorView dy, TensorView dx,
                             Isa isa = chosen_isa());
void rounded_conv_weight_grad(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView dy, TensorView dw,
                              Isa isa = chosen_isa());

}  // namespace tandem::cpu
