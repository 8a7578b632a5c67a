// Base64 (RFC 4648 section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tandem {

// Nothing unless `text` is whole groups of four, padded at the end, with no bits left over.
std::optional<std::string> decode_base64(std::string_view text);
// Padded, in one line.
std::string encode_base64(std::string_view bytes);

}  // namespace tandem
