// What make_plan rewrites itself, once it knows sizes: names that may be disabled as those of passes.
#pragma once

#include <string_view>

namespace tandem {

inline constexpr std::string_view kConvChains = "conv_chains";  // runtime/plan/conv_chains.h

inline constexpr std::string_view kPlanRewrites[] = {kConvChains};

}  // namespace tandem
