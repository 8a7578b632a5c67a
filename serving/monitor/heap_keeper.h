// Gives back to the system what the heap keeps for nobody.
//
// glibc keeps what was freed, in each thread's arena, wherever a block in use lies above it: a crowd of connections, or a flood
// of calls, leaves hundreds of MiB that nobody uses. malloc_trim() returns them, but takes milliseconds and every arena's lock.
// So it is called when the process has grown by much since the last time, and grows no more, or has shrunk by much.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace tandem {

// When it is worth it, from resident sizes (bytes) seen at regular times.
class HeapWatch {
 public:
  // True if the heap is to be trimmed now; then tell what is resident afterwards with trimmed().
  bool look(int64_t resident);
  void trimmed(int64_t resident);

 private:
  int64_t floor_ = INT64_MAX;  // the least since the last trim
  int64_t last_ = 0;
  int64_t trimmed_ = 0;  // after the last trim
};

// Looks once a second, on a thread of its own.
class HeapKeeper {
 public:
  HeapKeeper();
  ~HeapKeeper();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace tandem
