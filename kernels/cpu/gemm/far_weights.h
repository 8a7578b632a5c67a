// Packed weights that no cache of a core holds: products of few rows are bound by reading them, and how that goes best depends on the processor.
#pragma once

#include <cstdint>

namespace tandem::cpu {

inline constexpr int64_t kFarBytes = int64_t{1} << 20;  // above which they are not expected in a core's own cache

// Whether memory gives more to one thread that reads in several places at once than to one that reads from end to end. In
// kernels/cpu/architecture/.
bool reads_best_in_streams();

// The same for one row: a network has several such, which push each other out of a core's cache.
inline constexpr int64_t kFarRowBytes = kFarBytes / 4;

// Whether panels of 16 columns are to be read one after the other: with two rows and more a panel alone keeps too few products in flight.
inline bool reads_in_order(int64_t rows, int64_t bytes) { return rows == 1 && bytes > kFarRowBytes && !reads_best_in_streams(); }

}  // namespace tandem::cpu
