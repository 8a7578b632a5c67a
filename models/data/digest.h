// 128 bits of SHA-256: enough to tell rows of data apart, also of data somebody chose with care.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tandem {

using Digest = std::array<uint64_t, 2>;

Digest digest_of(std::string_view bytes);

}  // namespace tandem
