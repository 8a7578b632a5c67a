// Which convolutions of a plan run band by band together: see kernels/api/conv_chain.h.
#pragma once

#include "runtime/plan/plan.h"

namespace tandem {

// A depthwise tandem.ChannelsLastConv, the dense pointwise one that makes its input and the one that reads its output, as far as
// nobody else reads what lies between them, become one tandem.ChannelsLastConvChain where that takes less time at the plan's
// bounds, by an estimate or as PlanOptions::tuning measures it. Values between them are then made by no node. Convolutions of sizes that only a run knows stay as they are, and all of
// them where kConvChains is a disabled pass. REQUIRES plan.shapes and plan.dynamic.
void chain_convs(Plan& plan);

}  // namespace tandem
