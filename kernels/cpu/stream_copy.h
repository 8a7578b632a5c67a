// Copies past the caches: of what is long and not read again soon. An ordinary store first brings in the line that it is about to overwrite,
// a third of the traffic of a copy.
#pragma once

#include <cstddef>

namespace tandem::cpu {

// As std::memcpy does; any alignment. Other threads see it once this one has passed a barrier (the end of a parallel loop), as any store.
void stream_copy(std::byte* target, const std::byte* source, size_t bytes);

// Of what the next step reads, from which on it is not expected in a cache by then. In kernels/cpu/architecture/.
size_t far_copy_bytes();

}  // namespace tandem::cpu
