#include "runtime/comm/group_communicator.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "runtime/comm/collectives.h"

namespace tandem {

GroupCommunicator::GroupCommunicator(std::shared_ptr<Segment> segment, int rank, const CommunicatorOptions& options,
                                     std::function<bool(int)> is_alive)
    : rendezvous_(std::move(segment), rank, options.deadline, std::move(is_alive)), progress_([this] { progress(); }) {}

GroupCommunicator::~GroupCommunicator() {
  bool unfinished;
  {
    Lock lock(mutex_);
    unfinished = completed_ < issued_ && !failure_;
  }
  if (unfinished) abort("its communicator was destroyed before its collectives were done");
  {
    Lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  progress_.join();
  rendezvous_.leave();
}

void GroupCommunicator::set_step(int64_t step) {
  Lock lock(mutex_);
  step_ = step;
  collective_ = 0;
}

Communicator::Handle GroupCommunicator::begin_all_reduce(std::span<float> values, std::string_view bucket) {
  Job job;
  job.what.kind = CollectiveKind::kAllReduce;
  job.what.bytes = static_cast<int64_t>(values.size_bytes());
  job.data = reinterpret_cast<std::byte*>(values.data());
  return issue(job, bucket);
}

void GroupCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  require(root >= 0 && root < size(), "[broadcast] no such rank", root, size());
  Job job;
  job.what.kind = CollectiveKind::kBroadcast;
  job.what.root = root;
  job.what.bytes = static_cast<int64_t>(bytes.size());
  job.data = bytes.data();
  wait(issue(job));
}

std::vector<std::string> GroupCommunicator::all_gather(std::string_view blob) {
  std::vector<std::string> blobs;
  Job job;
  job.what.kind = CollectiveKind::kAllGather;
  job.blob = blob;
  job.blobs = &blobs;
  wait(issue(job));
  return blobs;
}

void GroupCommunicator::barrier() { wait(issue(Job{})); }

Communicator::Handle GroupCommunicator::issue(Job job, std::string_view label) {
  label.copy(job.what.label, sizeof(job.what.label) - 1);
  Lock lock(mutex_);
  while (!failure_ && issued_ - completed_ == static_cast<Handle>(jobs_.size())) advance(lock);
  if (failure_) throw *failure_;
  job.what.step = step_;
  job.what.collective = collective_++;
  jobs_[static_cast<size_t>(issued_) % jobs_.size()] = job;
  ++issued_;
  changed_.notify_all();
  return issued_ - 1;
}

void GroupCommunicator::wait(Handle handle) {
  Lock lock(mutex_);
  require(handle >= 0 && handle < issued_, "[wait] no such collective", handle, issued_);
  while (completed_ <= handle && !failure_) advance(lock);
  // After an abort from elsewhere the job may still be touching the caller's memory for a moment.
  changed_.wait(lock, [&] { return !failure_ || !running_; });
  if (completed_ <= handle) throw *failure_;
}

// Runs the next job, or waits for something to change.
void GroupCommunicator::advance(Lock& lock) {
  if (!running_ && !failure_ && completed_ < issued_)
    run_next(lock);
  else
    changed_.wait(lock);
}

void GroupCommunicator::run_next(Lock& lock) {
  running_ = true;
  const Job job = jobs_[static_cast<size_t>(completed_) % jobs_.size()];
  lock.unlock();
  std::optional<Error> failure;
  try {
    execute(job);
  } catch (const Error& error) {
    failure = error;
  } catch (const std::exception& error) {
    failure = Error(ErrorCode::kInternal, error.what());
    rendezvous_.abort(failure->code(), failure->what());
  }
  lock.lock();
  running_ = false;
  if (!failure)
    ++completed_;
  else if (!failure_)
    failure_ = failure;
  changed_.notify_all();
}

void GroupCommunicator::execute(const Job& job) {
  rendezvous_.begin(job.what);
  const size_t bytes = static_cast<size_t>(job.what.bytes);
  switch (job.what.kind) {
    case CollectiveKind::kAllReduce:
      return run_all_reduce(rendezvous_, {reinterpret_cast<float*>(job.data), bytes / sizeof(float)});
    case CollectiveKind::kBroadcast: return run_broadcast(rendezvous_, {job.data, bytes}, job.what.root);
    case CollectiveKind::kAllGather: return run_all_gather(rendezvous_, job.blob, *job.blobs);
    case CollectiveKind::kBarrier: return run_barrier(rendezvous_);
  }
}

void GroupCommunicator::progress() {
  Lock lock(mutex_);
  while (!stopping_) advance(lock);
}

void GroupCommunicator::abort(std::string_view reason) noexcept {
  rendezvous_.abort(ErrorCode::kUnavailable, reason);
  Lock lock(mutex_);
  if (!failure_) failure_ = Error(ErrorCode::kUnavailable, "rank " + std::to_string(rank()) + " aborted: " + std::string(reason));
  changed_.notify_all();
  changed_.wait(lock, [&] { return !running_; });
}

}  // namespace tandem
