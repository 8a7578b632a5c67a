// A pass: one rewrite of a graph that leaves what it computes unchanged.
#pragma once

#include <string_view>

#include "runtime/graph/graph.h"

namespace tandem {

struct Pass {
  std::string_view name;         // snake_case, as given to --disable
  std::string_view description;  // one line for `tandem inspect --passes`
  // Returns the number of changes; the graph is well-formed and free of unused nodes of its own making afterwards.
  int (*apply)(Graph&) = nullptr;
};

// One pass, one file. Sources and rules stand there.
extern const Pass batch_norm_folding_pass;
extern const Pass branch_inlining_pass;
extern const Pass common_subexpression_pass;
extern const Pass constant_folding_pass;
extern const Pass dead_code_pass;
extern const Pass epilogue_fusion_pass;
extern const Pass gradient_fusion_pass;
extern const Pass identity_removal_pass;

}  // namespace tandem
