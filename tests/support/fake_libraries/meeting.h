// Where the ranks of the stand-in of NCCL meet: memory that processes share, known by a name.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <thread>

namespace tandem::test {

inline constexpr int kMostRanks = 4;
inline constexpr size_t kSlot = 1 << 16;
inline constexpr std::chrono::seconds kPatience{60};

struct Announcement {
  int kind = 0, type = 0, operation = 0, root = 0;
  size_t count = 0;
  bool operator==(const Announcement&) const = default;
};

// Where ranks meet; memory of zeros at first.
struct Meeting {
  std::atomic<int> joined, arrived, round, left;
  Announcement announced[kMostRanks];
  std::byte slots[kMostRanks][kSlot];

  // False if one of the others left, or they do not come.
  bool meet(int ranks) {
    const int now = round.load();
    if (arrived.fetch_add(1) + 1 == ranks) {
      arrived.store(0);
      round.store(now + 1);
      return true;
    }
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (round.load() == now) {
      if (left.load() > 0 || std::chrono::steady_clock::now() > end) return round.load() != now;
      std::this_thread::yield();
    }
    return true;
  }
};

// Null: it cannot be had, or not yet.
inline Meeting* open_meeting(const char* name, bool create) {
  const int file = shm_open(name, create ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
  if (file < 0) return nullptr;
  struct stat found {};
  const bool sized =
      create ? ftruncate(file, sizeof(Meeting)) == 0 : fstat(file, &found) == 0 && found.st_size == sizeof(Meeting);
  void* const memory = sized ? mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  close(file);
  return memory == MAP_FAILED ? nullptr : static_cast<Meeting*>(memory);
}

}  // namespace tandem::test
