// Base64 (RFC 4648 section 4), from text to bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tandem {

// Nothing unless `text` is whole groups of four, padded at the end, with no bits left over.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace tandem
