// Where there are no stores that go past the caches, or the processor notices long runs of stores by itself.
#include "kernels/cpu/stream_copy.h"

#include <cstring>

namespace tandem::cpu {

void stream_copy(std::byte* target, const std::byte* source, size_t bytes) { std::memcpy(target, source, bytes); }

}  // namespace tandem::cpu
