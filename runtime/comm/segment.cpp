#include "runtime/comm/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "kernels/base/checked.h"

namespace tandem {
namespace {

constexpr uint64_t kMagic = 0x3130646e61544e52;  // also a version: changes with the layout
constexpr size_t kHeaderBytes = (sizeof(SegmentHeader) + 4095) / 4096 * 4096;

size_t bytes_for(int64_t size) {
  require(size >= 1 && size <= kMaxRanks, "number of ranks out of range", size, 1, kMaxRanks);
  return kHeaderBytes + static_cast<size_t>(size) * 2 * kSlotBytes;
}

void* map_memory(size_t bytes, int flags, int descriptor) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, descriptor, 0);
  check(memory != MAP_FAILED, ErrorCode::kOutOfMemory, "cannot map memory for collectives", bytes, system_message(errno));
  return memory;
}

}  // namespace

Segment::Segment(void* memory, size_t bytes, int size)
    : header_(static_cast<SegmentHeader*>(memory)),
      slots_(static_cast<std::byte*>(memory) + kHeaderBytes),
      bytes_(bytes),
      size_(size) {}

Segment::~Segment() { ::munmap(header_, bytes_); }

std::shared_ptr<Segment> Segment::make_private(int size) {
  const size_t bytes = bytes_for(size);
  return std::shared_ptr<Segment>(new Segment(map_memory(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1), bytes, size));
}

FileDescriptor Segment::make_shared(int size) {
  const size_t bytes = bytes_for(size);
  FileDescriptor memory(::memfd_create("tandem-ranks", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  check(static_cast<bool>(memory), ErrorCode::kUnavailable, "cannot make shared memory", system_message(errno));
  // All pages now, so that a machine without memory says so here and not by SIGBUS in a sum; sealed, so that nobody shortens it.
  if (const int error = ::posix_fallocate(memory.get(), 0, static_cast<off_t>(bytes)); error != 0)
    fail(ErrorCode::kOutOfMemory, "cannot reserve shared memory for ranks", {bytes, system_message(error)});
  ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  SegmentHeader* header = static_cast<SegmentHeader*>(map_memory(sizeof(SegmentHeader), MAP_SHARED, memory.get()));
  header->size = size;
  header->magic = kMagic;
  ::munmap(header, sizeof(SegmentHeader));
  return memory;
}

std::shared_ptr<Segment> Segment::map(int descriptor) {
  struct stat status {};
  require(::fstat(descriptor, &status) == 0 && status.st_size > static_cast<off_t>(kHeaderBytes),
          "descriptor is not ranks' memory", descriptor);
  const size_t bytes = static_cast<size_t>(status.st_size);
  SegmentHeader* header = static_cast<SegmentHeader*>(map_memory(bytes, MAP_SHARED, descriptor));
  const int64_t size = header->size;
  if (header->magic != kMagic || size < 1 || size > kMaxRanks || bytes_for(size) != bytes) {
    ::munmap(header, bytes);
    fail(ErrorCode::kInvalidArgument, "descriptor is not memory of ranks of this version", {descriptor});
  }
  return std::shared_ptr<Segment>(new Segment(header, bytes, static_cast<int>(size)));
}

}  // namespace tandem
