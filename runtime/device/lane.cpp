#include "runtime/device/lane.h"

#include <omp.h>
#include <pthread.h>

#include <new>
#include <system_error>

#include "runtime/device/affinity.h"

namespace tandem {
namespace {

// The edge at which foreign exceptions become Error.
Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory, "out of memory in a task");
  } catch (const std::exception& error) {
    return Error(ErrorCode::kInternal, error.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, "a task threw something that is no exception");
  }
}

void tell(const Task& task, const Error& error) noexcept {
  try {
    task.fail(error);
  } catch (...) {  // see Task::Failed
  }
}

}  // namespace

Lane::Lane(LaneOptions options) : options_(std::move(options)) {
  require(options_.threads >= 1, "a lane needs a thread", options_.name, options_.threads);
  require(options_.queue_capacity >= 1, "a lane needs a queue", options_.name);
  std::promise<void> started;
  std::future<void> ready = started.get_future();
  try {
    thread_ = std::thread([this, promise = std::move(started)]() mutable { work(std::move(promise)); });
  } catch (const std::system_error& error) {
    fail(ErrorCode::kUnavailable, "cannot start the thread of a lane", {options_.name, error.what()});
  }
  try {
    ready.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

Lane::~Lane() { stop(Stop::kDrop); }

// In the lane's own thread, before its first parallel region: the team inherits the pinning, and the settings are this thread's.
void Lane::prepare_thread() const {
  ::pthread_setname_np(::pthread_self(), options_.name.substr(0, 15).c_str());
  if (!options_.cpus.empty()) set_thread_cpus(options_.cpus);
  omp_set_dynamic(0);
  omp_set_max_active_levels(1);
  omp_set_num_threads(options_.threads);
}

void Lane::work(std::promise<void> started) {
  try {
    prepare_thread();
  } catch (...) {
    started.set_exception(std::current_exception());
    return;
  }
  started.set_value();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    {
      Task task = std::move(queue_.front());
      queue_.pop_front();
      running_ = true;
      lock.unlock();
      run_one(std::move(task));
    }
    lock.lock();
    running_ = false;
  }
}

void Lane::run_one(Task task) const noexcept {
  try {
    task.run();
  } catch (...) {
    tell(task, current_error());
  }
}

void Lane::submit(Task task) {
  {
    const std::lock_guard lock(mutex_);
    check(!stopping_, ErrorCode::kUnavailable, "lane is stopping", options_.name);
    check(queue_.size() < options_.queue_capacity, ErrorCode::kUnavailable, "queue of the lane is full", options_.name,
          queue_.size());
    queue_.push_back(std::move(task));
  }
  changed_.notify_one();
}

size_t Lane::load() const {
  const std::lock_guard lock(mutex_);
  return queue_.size() + (running_ ? 1 : 0);
}

void Lane::stop(Stop how) {
  ensure(std::this_thread::get_id() != thread_.get_id(), "a lane cannot be stopped from its own task", options_.name);
  std::deque<Task> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (how == Stop::kDrop) dropped.swap(queue_);
  }
  changed_.notify_one();
  for (const Task& task : dropped)
    tell(task, Error(ErrorCode::kCancelled, "the lane stopped before the task's turn: " + options_.name));
  const std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
}

}  // namespace tandem
