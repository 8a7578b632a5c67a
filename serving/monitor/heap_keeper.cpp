#include "serving/monitor/heap_keeper.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>

#include "serving/monitor/process_stats.h"

namespace tandem {
namespace {

constexpr std::chrono::seconds kLook{1};
constexpr int64_t kMuch = 4 << 20;    // growth that is worth a trim
constexpr int64_t kCalm = 256 << 10;  // growth between two looks that is none
constexpr int kTop = 256 << 10;       // what an arena may keep at its end: malloc_trim() leaves that of all but the first alone
constexpr int kOwnMapping = 1 << 20;  // of larger blocks

}  // namespace

bool HeapWatch::look(int64_t resident) {
  const bool calm = resident <= last_ + kCalm, settled = calm && resident >= last_ - kCalm;
  last_ = resident;
  floor_ = std::min(floor_, resident);
  const bool has_shrunk = resident < trimmed_ - kMuch;  // what was in use then has been freed, and the heap may keep some of it
  return (calm && resident > floor_ + kMuch) || (settled && has_shrunk);
}

void HeapWatch::trimmed(int64_t resident) { floor_ = last_ = trimmed_ = resident; }

HeapKeeper::HeapKeeper() {
  ::mallopt(M_TRIM_THRESHOLD, kTop);  // else glibc raises both to what has ever been freed, tens of MiB an arena
  ::mallopt(M_MMAP_THRESHOLD, kOwnMapping);
  thread_ = std::thread([this] { run(); });
}

HeapKeeper::~HeapKeeper() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void HeapKeeper::run() {
  HeapWatch watch;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return ended_; })) {
    if (!watch.look(resident_bytes())) continue;
    ::malloc_trim(0);
    watch.trimmed(resident_bytes());
  }
}

}  // namespace tandem
