// Memory that packed weights keep for themselves.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "kernels/base/error.h"

namespace tandem::cpu {

// 64-byte aligned, never null. Throws OutOfMemory naming the bytes.
inline std::shared_ptr<std::byte[]> make_aligned(size_t bytes) {
  constexpr std::align_val_t kLine{64};
  auto* data = static_cast<std::byte*>(::operator new(bytes + 1, kLine, std::nothrow));
  check(data != nullptr, ErrorCode::kOutOfMemory, "no memory for packed weights, bytes", bytes);
  return std::shared_ptr<std::byte[]>(data, [](std::byte* p) { ::operator delete(p, kLine); });
}

}  // namespace tandem::cpu
