// Memory that packed weights keep for themselves.
#pragma once

#include "kernels/base/block.h"

namespace tandem::cpu {

// 64-byte aligned, never null. Throws OutOfMemory naming the bytes.
inline std::shared_ptr<std::byte[]> make_aligned(size_t bytes) { return make_lasting_block(bytes); }

}  // namespace tandem::cpu
