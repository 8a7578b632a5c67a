// A fast checksum of large content: finds damage, not malice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tandem {

// 64 bits over all bytes and their number. Eight lanes of multiply and fold, so that memory is what it waits for.
uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace tandem
