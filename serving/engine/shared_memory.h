// Regions of POSIX shared memory that clients on this machine have registered: tensors that need not go through a socket.
//
// Bytes are copied in and out by pread and pwrite on the region's file. A mapping would save the copy, but a client may cut its
// memory short at any moment, which ends the process that touches the mapping (SIGBUS), and may change it while a kernel reads
// indices that were checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/file_descriptor.h"

namespace tandem {

// A part of a region.
struct RegionRange {
  std::string region;
  int64_t offset = 0, bytes = 0;
};

struct RegionStatus {
  std::string name, key;
  int64_t offset = 0, bytes = 0;  // of the region in the object that the key names
};

// Safe from any thread. A request that is under way keeps its region whatever is unregistered.
class SharedMemory {
 public:
  // Throws AlreadyExists for a name in use, InvalidArgument for a key that names no object ("/name") or too small a one.
  void add(const RegionStatus& region);
  // Throws NotFound.
  void remove(std::string_view name);
  void remove_all();
  // All of them by name; with a name that one. Throws NotFound.
  std::vector<RegionStatus> status(std::string_view name = {}) const;

  // Throw NotFound, and InvalidArgument for a range that is not within its region, or has been cut off. `bytes` is as long as the
  // range.
  void read(const RegionRange& range, std::span<std::byte> bytes) const;
  void write(const RegionRange& range, std::span<const std::byte> bytes) const;

 private:
  struct Region {
    RegionStatus status;
    FileDescriptor file;
  };
  std::shared_ptr<const Region> find(const RegionRange& range) const;

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Region>, std::less<>> regions_;
};

}  // namespace tandem
