#include "serving/monitor/model_statistics.h"

namespace tandem {

void StatisticsRecorder::add(const Batch& batch) {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  const auto now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  const std::lock_guard lock(mutex_);
  sums_.last_inference_ms = static_cast<uint64_t>(now);
  sums_.inferences += static_cast<uint64_t>(batch.rows);
  ++sums_.executions;
  sums_.success.count += batch.requests;
  sums_.success.time += batch.total;
  sums_.queue.count += batch.requests;
  sums_.queue.time += batch.queue;
  sums_.input.add(batch.input, batch.requests);
  sums_.infer.add(batch.infer, batch.requests);
  sums_.output.add(batch.output, batch.requests);
  ModelStatistics::Batch& size = sums_.batches[batch.rows];
  size.input.add(batch.input);
  size.infer.add(batch.infer);
  size.output.add(batch.output);
}

void StatisticsRecorder::fail(std::chrono::nanoseconds time, bool cancelled) {
  const std::lock_guard lock(mutex_);
  sums_.fail.add(time);
  if (cancelled) sums_.cancelled.add(time);
}

size_t StatisticsRecorder::begin_answering() {
  const std::lock_guard lock(mutex_);
  ++answering_[turn_];
  return turn_;
}

void StatisticsRecorder::end_answering(size_t turn) {
  const std::lock_guard lock(mutex_);
  if (--answering_[turn] == 0) answered_.notify_all();
}

ModelStatistics StatisticsRecorder::snapshot() const {
  const std::lock_guard one(asking_);
  std::unique_lock lock(mutex_);
  const size_t before = turn_;
  turn_ = 1 - turn_;
  answered_.wait(lock, [&] { return answering_[before] == 0; });
  return sums_;
}

}  // namespace tandem
