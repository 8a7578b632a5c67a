// How elementwise work is shared by the team: fixed chunks, so that what is computed never depends on who computes it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/base/checked.h"
#include "kernels/base/kernel_context.h"

namespace tandem::cpu {

// Elements below which a second thread costs more than it brings.
inline constexpr int64_t kGrain = 16 * 1024;

// Calls body(begin, end) over [0, n) in pieces of `grain`. `body` must not throw and must not depend on how [0, n) is cut.
template <class Body>
void parallel_chunks(const KernelContext& context, int64_t n, int64_t grain, Body&& body) {
  const int64_t chunks = ceil_div(n, grain);
  if (context.threads == 1 || chunks <= 1) {
    if (n > 0) body(int64_t{0}, n);
    return;
  }
#pragma omp parallel for num_threads(context.threads) schedule(static)
  for (int64_t c = 0; c < chunks; ++c) body(c * grain, std::min(n, (c + 1) * grain));
}

// The grain for items that cost `work` elements each.
inline int64_t grain_of(int64_t work) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, work)); }

}  // namespace tandem::cpu
