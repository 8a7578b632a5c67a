#include "runtime/passes/reshape_target.h"

#include <algorithm>

#include "runtime/ops/symbolic.h"

namespace tandem {

std::optional<ReshapeTarget> reshape_target(const Dims& from, const Dims& to) {
  ReshapeTarget target;
  Dims others;  // beside the -1
  int copied = 0, open = 0, zeros = 0;
  for (size_t i = 0; i < to.size(); ++i) {
    const bool copies = !to[i].known() && to[i] != Dim() && i < from.size() && from[i] == to[i];
    target.shape.push_back(to[i].known() ? to[i].size : copies ? 0 : -1);
    copied += copies;
    zeros += to[i].size == 0;
    open += target.shape.back() == -1;
    if (target.shape.back() != -1) others.push_back(to[i]);
  }
  if (open > 1 || (open == 1 && (copied > 0 || zeros > 0)) || (copied > 0 && zeros > 0)) return std::nullopt;
  target.keeps_zeros = zeros > 0;
  const auto inferred = std::ranges::find(target.shape, -1);
  if (inferred == target.shape.end()) return target;
  const Dim& wanted = to[static_cast<size_t>(inferred - target.shape.begin())];
  return wanted == Dim() || quotient(product(from), product(others)) == wanted ? std::optional(target) : std::nullopt;
}

}  // namespace tandem
