// Memory for what lives long and is large: weights, tensors, packed panels.
//
// A block of kWholePages bytes and more comes from the system directly and goes back to it at once when its last handle goes, so that weights which
// are dropped while a model is loaded make room for those that follow. It asks for huge pages: most of the time to load a model was page faults.
#pragma once

#include <cstddef>
#include <memory>

namespace tandem {

inline constexpr size_t kWholePages = size_t{1} << 20;

// 64-byte aligned, never null; what is in it is undefined, or zero. Throws OutOfMemory naming the bytes.
std::shared_ptr<std::byte[]> make_block(size_t bytes);
std::shared_ptr<std::byte[]> make_zero_block(size_t bytes);

}  // namespace tandem
