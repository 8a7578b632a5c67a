// How a product is cut: steps of k (a function of k alone), panels of B, tiles of A, and the workspace of one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/base/checked.h"
#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

inline constexpr size_t kAlignment = 64;
inline constexpr int64_t kMaxRows = 288;   // of A packed at once: kMaxRows * kMaxSteps floats stay in the second-level cache
inline constexpr int64_t kMaxCols = 2304;  // of B packed at once: for each of their blocks A is packed anew
inline constexpr int64_t kMostTileRows = 16;

// Equal steps of at most `most`, the last one shorter. At least 1, so that k = 0 has a loop of none.
inline int64_t even_step(int64_t k, int64_t most) { return std::max<int64_t>(1, ceil_div(k, std::max<int64_t>(1, ceil_div(k, most)))); }
inline int64_t k_step(int64_t k) { return even_step(k, kMaxSteps); }

template <class T>
constexpr int64_t aligned_elements(int64_t n) {
  return round_up(n, static_cast<int64_t>(kAlignment / sizeof(T)));
}

// Packing A pays when its panels are read often: few columns read it once, and few rows are one tile.
template <class T>
bool packs_a(const GemmTier<T>& tier, int64_t rows, int64_t cols) {
  return rows > tier.mr && cols > 2 * tier.nr;
}

// Elements of packed A and packed B that one thread holds; never smaller for a larger problem.
template <class T>
struct GemmScratch {
  int64_t a = 0, b = 0;
  // The tier for fewer columns may have higher tiles, hence room for the highest; its panels are narrower.
  GemmScratch(const GemmTier<T>& tier, int64_t m, int64_t n, int64_t k, bool b_is_packed) {
    const int64_t steps = std::min(k, kMaxSteps);
    if (packs_a(tier, m, n)) a = aligned_elements<T>((std::min(m, kMaxRows) + kMostTileRows) * steps);
    if (!b_is_packed) b = aligned_elements<T>(round_up(std::min(n, kMaxCols), tier.nr) * steps);
  }
  int64_t elements() const { return a + b; }
};

// The workspace as elements. Throws Internal if it is smaller than `elements`.
template <class T>
T* workspace_of(std::span<std::byte> workspace, int64_t elements, std::string_view who) {
  ensure(workspace.size() >= static_cast<size_t>(elements) * sizeof(T), "workspace is too small", who, workspace.size(),
         static_cast<size_t>(elements) * sizeof(T));
  return reinterpret_cast<T*>(workspace.data());
}

}  // namespace tandem::cpu
