#include "models/data/zip.h"

#include <zlib.h>

#include <algorithm>
#include <set>

#include "kernels/base/checked.h"
#include "models/data/decompress.h"

namespace tandem {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryHeader = 0x02014b50, kDirectoryEnd = 0x06054b50;
constexpr size_t kLocalSize = 30, kDirectorySize = 46, kEndSize = 22;
constexpr uint16_t kStored = 0, kDeflated = 8, kVersion = 20, kUtf8Names = 1 << 11;
constexpr uint32_t kZip64 = 0xFFFFFFFF;

// Bounds-checked little-endian reads.
class Reader {
 public:
  Reader(std::string_view bytes, std::string_view source) : bytes_(bytes), source_(source) {}

  std::string_view slice(size_t offset, size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) fail_at("zip archive is cut short", offset);
    return bytes_.substr(offset, size);
  }
  uint16_t u16(size_t offset) const { return static_cast<uint16_t>(number(offset, 2)); }
  uint32_t u32(size_t offset) const { return number(offset, 4); }
  size_t size() const { return bytes_.size(); }
  std::string_view source() const { return source_; }
  [[noreturn]] void fail_at(std::string_view what, size_t offset) const {
    fail(ErrorCode::kInvalidArgument, what, {source_, "byte " + std::to_string(offset)});
  }

 private:
  uint32_t number(size_t offset, size_t size) const {
    const std::string_view raw = slice(offset, size);
    uint32_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>(raw[i]);
    return value;
  }

  std::string_view bytes_;
  std::string_view source_;
};

uint32_t checksum(std::string_view bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// The end record is the last one, followed only by a comment of at most 64 KiB.
size_t find_directory_end(const Reader& in) {
  if (in.size() < kEndSize) in.fail_at("not a zip archive: too short", in.size());
  const size_t last = in.size() - kEndSize, first = last > 0xFFFF ? last - 0xFFFF : 0;
  for (size_t at = last + 1; at-- > first;)
    if (in.u32(at) == kDirectoryEnd && at + kEndSize + in.u16(at + 20) == in.size()) return at;
  in.fail_at("not a zip archive, or its end is missing", in.size());
}

std::string member_content(const Reader& in, size_t entry, int64_t left) {
  const uint16_t flags = in.u16(entry + 8), method = in.u16(entry + 10);
  const uint32_t crc = in.u32(entry + 16), packed = in.u32(entry + 20), size = in.u32(entry + 24), local = in.u32(entry + 42);
  if (flags & 1) in.fail_at("encrypted zip members are not supported", entry);
  if (packed == kZip64 || size == kZip64 || local == kZip64)
    in.fail_at("zip members over 4 GiB (zip64) are not supported", entry);
  if (method != kStored && method != kDeflated)
    in.fail_at("zip compression method is not supported; expected stored or deflated", entry);
  require(int64_t{size} <= left, "unpacked content exceeds the limit", in.source(), "member of bytes", size);
  if (in.u32(local) != kLocalHeader) in.fail_at("zip member does not start where the directory says", local);
  const std::string_view raw = in.slice(size_t{local} + kLocalSize + in.u16(local + 26) + in.u16(local + 28), packed);
  if (method == kStored && packed != size) in.fail_at("stored zip member has two different sizes", entry);
  std::string content = method == kStored ? std::string(raw) : inflate_raw(raw, size, in.source());
  if (checksum(content) != crc) in.fail_at("zip member is damaged: its CRC-32 does not match", local);
  return content;
}

void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

// The fields that local and directory header share, from "version needed" to "extra length". 0x0021 is 1980-01-01, the format's
// zero.
void put_shared_fields(std::string& out, const ZipMember& member) {
  put(out, kVersion, 2);
  put(out, kUtf8Names, 2);
  put(out, kStored, 2);
  put(out, 0, 2);
  put(out, 0x0021, 2);
  put(out, checksum(member.content), 4);
  put(out, member.content.size(), 4);
  put(out, member.content.size(), 4);
  put(out, member.name.size(), 2);
  put(out, 0, 2);
}

}  // namespace

std::vector<ZipMember> read_zip(std::string_view bytes, std::string_view source, int64_t limit) {
  const Reader in(bytes, source);
  const size_t end = find_directory_end(in);
  const uint16_t count = in.u16(end + 10);
  if (in.u16(end + 4) != 0 || in.u16(end + 6) != 0 || in.u16(end + 8) != count)
    in.fail_at("zip archives on several disks are not supported", end);
  std::vector<ZipMember> members;
  std::set<std::string> names;
  size_t entry = in.u32(end + 16);
  for (uint16_t i = 0; i < count; ++i) {
    if (in.u32(entry) != kDirectoryHeader) in.fail_at("zip directory is damaged", entry);
    ZipMember member{std::string(in.slice(entry + kDirectorySize, in.u16(entry + 28))), member_content(in, entry, limit)};
    require(names.insert(member.name).second, "zip archive has two members of one name", source, member.name);
    limit -= static_cast<int64_t>(member.content.size());
    entry += kDirectorySize + in.u16(entry + 28) + in.u16(entry + 30) + in.u16(entry + 32);
    members.push_back(std::move(member));
  }
  return members;
}

std::string write_zip(const std::vector<ZipMember>& members) {
  require(members.size() <= 0xFFFF, "too many members for a zip archive", members.size());
  std::string out, directory;
  for (const ZipMember& member : members) {
    const size_t local = out.size();
    require(member.content.size() + local < kZip64, "zip archive would exceed 4 GiB", member.name);
    require(member.name.size() <= 0xFFFF, "name is too long for a zip archive", member.name.size());
    put(out, kLocalHeader, 4);
    put_shared_fields(out, member);
    out += member.name;
    out += member.content;
    put(directory, kDirectoryHeader, 4);
    put(directory, kVersion, 2);  // made by
    put_shared_fields(directory, member);
    directory.append(2 + 2 + 2 + 4, '\0');  // comment length, disk, attributes
    put(directory, local, 4);
    directory += member.name;
  }
  const size_t start = out.size();
  require(start + directory.size() < kZip64, "zip archive would exceed 4 GiB", start);
  out += directory;
  put(out, kDirectoryEnd, 4);
  put(out, 0, 2 + 2);  // disks
  put(out, members.size(), 2);
  put(out, members.size(), 2);
  put(out, directory.size(), 4);
  put(out, start, 4);
  put(out, 0, 2);
  return out;
}

}  // namespace tandem
