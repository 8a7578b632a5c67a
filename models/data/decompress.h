// Data files as bytes: plain, gzip (RFC 1952, several members allowed) or xz, told apart by their first bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace tandem {

// The content of `bytes`, unpacked if they are a gzip or xz stream. `source` names the file in errors. Throws InvalidArgument
// with the byte offset where a stream is damaged or ends too early, or if the content would exceed `limit` bytes.
std::string decompress(std::string bytes, std::string_view source, int64_t limit);

// read_file, then decompress; `limit` holds for the file and for its content.
std::string read_data_file(const std::filesystem::path& path, int64_t limit);

// Appends the raw deflate stream (RFC 1951) unpacked, of exactly `size` bytes. For zip members. Same errors.
std::string inflate_raw(std::string_view bytes, int64_t size, std::string_view source);

}  // namespace tandem
