// The blocks of a launch, on a few OS threads that sleep in between: one launch at a time, whoever waits for it works along.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "block.h"

namespace tandem::emulator {
namespace {

struct Grid {
  const Kernel& kernel;
  int64_t blocks;
  std::atomic<int64_t> next{0};

  void work() {
    const dim3 grid = kernel.shape.grid;
    for (int64_t i = next++; i < blocks; i = next++) {
      const int64_t row = i / grid.x;
      run_block(kernel, dim3(static_cast<unsigned>(i % grid.x), static_cast<unsigned>(row % grid.y), static_cast<unsigned>(row / grid.y)));
    }
  }
};

// Lanes are pinned, and what a thread starts inherits that.
void take_all_processors() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int i = 0; i < CPU_SETSIZE; ++i) CPU_SET(i, &all);
  static_cast<void>(sched_setaffinity(0, sizeof all, &all));  // those that the process may have
}

class Team {
 public:
  explicit Team(int workers) {
    for (int i = 0; i < workers; ++i) std::thread([this] { serve(); }).detach();
  }

  void run(Grid& grid) {
    {
      const std::lock_guard lock(mutex_);
      grid_ = &grid;
    }
    begin_.notify_all();
    grid.work();
    std::unique_lock lock(mutex_);
    grid_ = nullptr;  // who wakes only now comes too late
    end_.wait(lock, [&] { return working_ == 0; });
  }

 private:
  [[noreturn]] void serve() {
    take_all_processors();
    watch_faults();
    for (std::unique_lock lock(mutex_);;) {
      begin_.wait(lock, [&] { return grid_ != nullptr && grid_->next < grid_->blocks; });
      Grid& grid = *grid_;
      ++working_;
      lock.unlock();
      grid.work();
      lock.lock();
      if (--working_ == 0) end_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable begin_, end_;
  Grid* grid_ = nullptr;
  int working_ = 0;
};

// Null in a forked child, where its threads are not, and on one processor.
Team* team() {
  static const pid_t process = getpid();
  static const int workers = static_cast<int>(std::min(std::thread::hardware_concurrency(), 8u)) - 1;
  if (workers < 1 || getpid() != process) return nullptr;
  static Team& made = *new Team(workers);  // its threads end with the process
  return &made;
}

}  // namespace

void run_grid(const Kernel& kernel) {
  watch_faults();
  const LaunchShape& shape = kernel.shape;
  Grid grid{kernel, static_cast<int64_t>(shape.grid.x) * shape.grid.y * shape.grid.z};
  constexpr int64_t kWorthWaking = 512;  // threads
  const int64_t threads = grid.blocks * shape.block.x * shape.block.y * shape.block.z;
  if (Team* others = grid.blocks > 1 && threads >= kWorthWaking ? team() : nullptr)
    others->run(grid);
  else
    grid.work();
}

}  // namespace tandem::emulator
