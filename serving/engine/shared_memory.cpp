#include "serving/engine/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr size_t kMostRegions = 4'096;

std::string quoted(std::string_view name) { return "'" + std::string(name.substr(0, 128)) + "'"; }

// An object that exists, and nothing else: no path.
FileDescriptor open_object(const std::string& key) {
  const bool plain = key.size() >= 2 && key.size() <= 255 && key[0] == '/' && key.find('/', 1) == std::string::npos &&
                     key.find('\0') == std::string::npos && key != "/." && key != "/..";
  require(plain, "the key of a shared memory region must be a name such as /name", quoted(key));
  FileDescriptor file(::shm_open(key.c_str(), O_RDWR | O_CLOEXEC, 0));
  require(static_cast<bool>(file), "Unable to open shared memory region: " + quoted(key));
  return file;
}

int64_t size_of_object(const FileDescriptor& file) {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
}

// `move(done)` handles what is left behind `done` bytes and gives how much it was.
template <class Move>
void move_all(const RegionRange& range, size_t bytes, Move&& move) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = move(done);
    if (n < 0 && errno == EINTR) continue;
    require(n > 0, "shared memory region " + quoted(range.region) + " is smaller than it was when it was registered");
    done += static_cast<size_t>(n);
  }
}

}  // namespace

void SharedMemory::add(const RegionStatus& region) {
  require(!region.name.empty() && region.name.size() <= 255, "a shared memory region must have a name of 255 bytes at most");
  auto fresh = std::make_shared<Region>(Region{region, open_object(region.key)});
  const int64_t size = size_of_object(fresh->file);
  require(region.offset >= 0 && region.bytes > 0 && region.offset <= size && region.bytes <= size - region.offset,
          "failed to register shared memory region " + quoted(region.name) +
              ": Invalid offset + byte size for an object of so many bytes",
          region.offset, region.bytes, size);
  const std::lock_guard lock(mutex_);
  check(!regions_.contains(region.name), ErrorCode::kAlreadyExists,
        "shared memory region " + quoted(region.name) + " already in manager");
  check(regions_.size() < kMostRegions, ErrorCode::kUnavailable, "too many shared memory regions are registered", kMostRegions);
  regions_.emplace(region.name, std::move(fresh));
}

void SharedMemory::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = regions_.find(name);
  check(found != regions_.end(), ErrorCode::kNotFound, "Unable to find shared memory region: " + quoted(name));
  regions_.erase(found);
}

void SharedMemory::remove_all() {
  const std::lock_guard lock(mutex_);
  regions_.clear();
}

std::vector<RegionStatus> SharedMemory::status(std::string_view name) const {
  std::vector<RegionStatus> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [own, region] : regions_)
    if (name.empty() || own == name) all.push_back(region->status);
  check(name.empty() || !all.empty(), ErrorCode::kNotFound, "Unable to find system shared memory region: " + quoted(name));
  return all;
}

std::shared_ptr<const SharedMemory::Region> SharedMemory::find(const RegionRange& range) const {
  const std::lock_guard lock(mutex_);
  const auto found = regions_.find(range.region);
  check(found != regions_.end(), ErrorCode::kNotFound, "Unable to find shared memory region: " + quoted(range.region));
  const int64_t size = found->second->status.bytes;
  require(range.offset >= 0 && range.bytes >= 0 && range.offset <= size && range.bytes <= size - range.offset,
          "Invalid offset + byte size for shared memory region: " + quoted(range.region) + " (offset, bytes, its size)",
          range.offset, range.bytes, size);
  return found->second;
}

void SharedMemory::read(const RegionRange& range, std::span<std::byte> bytes) const {
  const auto region = find(range);
  const int64_t begin = region->status.offset + range.offset;
  move_all(range, bytes.size(), [&](size_t done) {
    return ::pread(region->file.get(), bytes.data() + done, bytes.size() - done, begin + static_cast<int64_t>(done));
  });
}

void SharedMemory::write(const RegionRange& range, std::span<const std::byte> bytes) const {
  const auto region = find(range);
  const int64_t begin = region->status.offset + range.offset, end = begin + static_cast<int64_t>(bytes.size());
  require(end <= size_of_object(region->file),
          "shared memory region " + quoted(range.region) + " is smaller than it was when it was registered");
  move_all(range, bytes.size(), [&](size_t done) {
    return ::pwrite(region->file.get(), bytes.data() + done, bytes.size() - done, begin + static_cast<int64_t>(done));
  });
}

}  // namespace tandem
