// Tasks in processes of their own, several at a time: a crash, a hang or memory run wild costs one task, not the whole run.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace tandem {

struct TaskOutcome {
  bool finished = false;
  std::string text;  // the task's own; or how it ended: "was killed by signal 11 (Segmentation fault)", "took longer than 60 s"
};

// Calls task(0), ..., task(count - 1), each once, in `workers` forked processes that take one after the other, and `done` here with each
// outcome as it comes. What a task throws, std::exception or not, ends its process. To be called before this process has threads. Throws
// Unavailable if no process can be had.
void run_isolated(size_t count, int workers, std::chrono::milliseconds limit, const std::function<std::string(size_t)>& task,
                  const std::function<void(size_t, TaskOutcome)>& done);

}  // namespace tandem
