// UTF-8 (RFC 3629): the only encoding of text in string tensors, JSON and HTML.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tandem {

// Whether all of `text` is well formed: no overlong forms, surrogates or numbers past U+10FFFF.
bool is_utf8(std::string_view text);

// Appends the character; false, appending nothing, if `point` is not one.
bool append_utf8(std::string& out, uint32_t point);

// The characters of `text`. Throws InvalidArgument if it is not UTF-8.
std::u32string utf32_of(std::string_view text);

}  // namespace tandem
