#include "runtime/io/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "kernels/base/error.h"

namespace tandem {

MappedFile::MappedFile(const FileDescriptor& file, int64_t size, const std::string& path) {
  if (size == 0) return;
  void* memory = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE, file.get(), 0);
  check(memory != MAP_FAILED, ErrorCode::kUnavailable, "cannot map file", path, system_message(errno));
  bytes_ = {static_cast<std::byte*>(memory), static_cast<size_t>(size)};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

std::shared_ptr<std::byte[]> part_of(std::shared_ptr<MappedFile> file, int64_t offset, int64_t bytes) {
  std::byte* start = file->bytes().data() + offset;
  return {start, [file = std::move(file), offset, bytes](std::byte*) {
            const auto page = static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
            const int64_t first = (offset + page - 1) / page * page, last = (offset + bytes) / page * page;
            if (first < last) ::madvise(file->bytes().data() + first, static_cast<size_t>(last - first), MADV_DONTNEED);
          }};
}

bool map_over(std::span<std::byte> room, const FileDescriptor& file, int64_t offset, const std::string& path) {
  if (offset % ::sysconf(_SC_PAGESIZE) != 0) return false;
  void* memory = ::mmap(room.data(), room.size(), PROT_READ, MAP_PRIVATE | MAP_FIXED, file.get(), offset);
  check(memory != MAP_FAILED, ErrorCode::kUnavailable, "cannot map file", path, system_message(errno));
  return true;
}

void read_exactly(const FileDescriptor& file, std::span<std::byte> to, int64_t offset, const std::string& path) {
  while (!to.empty()) {
    const ssize_t count = ::pread(file.get(), to.data(), to.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    check(count >= 0, ErrorCode::kUnavailable, "cannot read file", path, system_message(count < 0 ? errno : 0));
    require(count > 0, "file ends too early (bytes missing)", path, to.size());
    to = to.subspan(static_cast<size_t>(count));
    offset += count;
  }
}

}  // namespace tandem
