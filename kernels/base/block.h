// Memory for what lives long and is large: weights, tensors, packed panels.
//
// A block of kWholePages bytes and more comes from the system directly and goes back to it at once when its last handle goes, so that weights which
// are dropped while a model is loaded make room for those that follow. It asks for huge pages: most of the time to load a model was page faults.
// Between kOwnPages and that only what stands as long as a model does has pages of its own: fresh ones cost more than what malloc keeps.
#pragma once

#include <cstddef>
#include <memory>

namespace tandem {

inline constexpr size_t kWholePages = size_t{1} << 20, kOwnPages = size_t{64} << 10;

// Whether a block of so many bytes is whole pages of the system's: then part of a file may be mapped in its place.
bool is_whole_pages(size_t bytes);

// 64-byte aligned, never null; what is in it is undefined, or zero. Throws OutOfMemory naming the bytes.
std::shared_ptr<std::byte[]> make_block(size_t bytes);
std::shared_ptr<std::byte[]> make_zero_block(size_t bytes);
// The same for weights in either form, which come and go while a model is loaded: from kOwnPages bytes on, they go back to the system too.
std::shared_ptr<std::byte[]> make_lasting_block(size_t bytes);

// Gives the system the pages that malloc keeps of what was freed, as after a model was read. Takes some microseconds for each hole.
void return_freed_memory();

}  // namespace tandem
