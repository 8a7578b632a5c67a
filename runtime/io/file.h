// Files, opened beneath a root and written whole or not at all. The only place that opens what a user or a model names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tandem {

// A read-only mapping of a whole regular file. Move-only.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  MappedFile(MappedFile&& other) noexcept { swap(other); }
  MappedFile& operator=(MappedFile&& other) noexcept { swap(other); return *this; }
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  void swap(MappedFile& other) noexcept { std::swap(data_, other.data_); std::swap(size_, other.size_); }
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Opens `relative` beneath `root` for reading: openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), O_CLOEXEC, a regular file with
// one link. Returns the descriptor, which the caller closes. Throws InvalidArgument for a path that leaves the root or is not a
// plain file, NotFound if there is none.
int open_beneath(const std::filesystem::path& root, std::string_view relative);

// The whole file as the user named it (a path from the command line: symlinks are followed). Throws NotFound, or InvalidArgument if
// it is not a regular file or larger than `limit` bytes, naming path, size and limit.
std::string read_file(const std::filesystem::path& path, int64_t limit);
// The same for a file beneath a root.
std::string read_file_beneath(const std::filesystem::path& root, std::string_view relative, int64_t limit);

// Writes to a temporary name in the same folder, fsyncs file and folder, renames. After a crash or on a full disk `path` is what it was
// before. Throws Unavailable naming path and cause ("No space left on device").
void write_file(const std::filesystem::path& path, std::string_view content);
void write_file(const std::filesystem::path& path, std::span<const std::string_view> pieces);

// SHA-256 of the bytes, 64 lower-case hex digits (FIPS 180-4).
std::string sha256(std::string_view bytes);
std::string sha256_file(const std::filesystem::path& path);

}  // namespace tandem
