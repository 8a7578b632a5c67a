// Winograd convolution (conv_winograd.h) of planes by weights that change, and its two gradients, for training: the functions of conv.h, and their
// operands and results, in f32, where has_winograd_form.
//
// The gradient to the input is such a convolution too. That to the weights is the transpose of one: slopes and pixels are taken to points, multiplied
// and summed over all tiles of the batch there, and the sums are taken back to the 3 x 3 kernels, so the products are as few.
//
// Error: as conv_winograd.h says. Sums have one order: bits depend on the tiles, on the geometry and, of weights' gradients, on the batch, never on
// threads.
#pragma once

#include "kernels/api/conv.h"
#include "kernels/api/conv_winograd.h"

namespace tandem::cpu {

// As fastest_winograd_tiles, of weights that are taken to their points in every run, of a convolution or the gradient to the input, whose channels and
// filters are exchanged and whose output is the image; and of the gradient to the weights, whose sums are taken back. None, too, for images that with
// their results take more than 32 MiB: a thread holds one that is turned. `price`: of a multiply-add of the direct sums beside one of f32, as
// rounded_conv_price.
std::optional<WinogradTiles> fastest_winograd_planes_tiles(const WinogradSizes&, double price = 1);
std::optional<WinogradTiles> fastest_winograd_weight_grad_tiles(const WinogradSizes&, double price = 1);

// Bytes, for this plane and all smaller ones, and any batch.
ConvWorkspace winograd_planes_workspace(const ConvGeometry&, WinogradTiles, int threads, Isa isa = chosen_isa());

// As conv, conv_input_grad and conv_weight_grad. Throw Internal for a geometry without the form, and if shapes, types or the workspace do not fit.
// The input's gradient wants no pads above 2.
void winograd_planes_conv(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView w, TensorView y, WinogradTiles,
                          const ConvEpilogue& epilogue = {}, Isa isa = chosen_isa());
void winograd_planes_input_grad(const KernelContext&, const ConvGeometry&, ConstTensorView w, ConstTensorView dy, TensorView dx, WinogradTiles,
                                Isa isa = chosen_isa());
void winograd_planes_weight_grad(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView dy, TensorView dw, WinogradTiles,
                                 Isa isa = chosen_isa());

}  // namespace tandem::cpu
