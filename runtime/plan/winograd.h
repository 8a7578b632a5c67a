// Which convolutions of a plan, and gradients of convolutions, are computed by Winograd's short convolutions: see kernels/api/conv_winograd.h for what
// that rounds.
#pragma once

#include "runtime/plan/plan.h"

namespace tandem {

// tandem.ChannelsLastConv of 3 x 3 at stride 1 becomes tandem.WinogradConv where that takes less time at the plan's bounds, by an estimate or as
// PlanOptions::tuning measures it. The first plan of a graph decides, for all that share its packed weights: the weights themselves are gone when a
// later one is made. Convolutions of sizes that only a run knows stay direct.
//
// Of weights that are no constants but of known sizes, in training above all, f32 tandem.FusedConv and Conv become tandem.WinogradPlanesConv, ConvGradInput
// WinogradPlanesGradInput and ConvGradWeight WinogradPlanesGradWeight, by estimates, also those that round to bf16, beside which tiles of f32 must be faster; here too the first of plans that share their packs decides. REQUIRES plan.shapes, plan.dynamic and plan.packs.
void choose_winograd(Plan& plan);

}  // namespace tandem
