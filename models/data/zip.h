// The part of the zip format that .npz files use: stored and deflated members, no encryption, no zip64, one disk.
// Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.6 to 4.3.16.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

struct ZipMember {
  std::string name;
  std::string content;
};

// All members, in the order of the central directory, CRC-32 checked. Throws InvalidArgument naming `source` and the byte offset
// for a damaged archive or a feature that is not supported, or if all contents together exceed `limit` bytes.
std::vector<ZipMember> read_zip(std::string_view bytes, std::string_view source, int64_t limit);

// An archive of stored members, with no time stamps: the same members give the same bytes. Throws InvalidArgument over 4 GiB.
std::string write_zip(const std::vector<ZipMember>& members);

}  // namespace tandem
