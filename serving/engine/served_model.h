// A model version that answers: the model, its queue before the lanes, and what is counted of it.
//
// Requests of a batch are joined along their first axis, run once, and each gets its rows of the outputs. A request that makes a
// batch fail fails alone: the others are run again without it, one by one.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "serving/batching/dispatcher.h"
#include "serving/core/model.h"
#include "serving/engine/batch_tensors.h"
#include "serving/engine/inference_call.h"
#include "serving/engine/lane_watch.h"
#include "serving/engine/length_buckets.h"
#include "serving/monitor/model_statistics.h"
#include "serving/monitor/request_tracer.h"
#include "serving/monitor/server_metrics.h"

namespace tandem {

// What all served models share; outlives them.
struct ServingContext {
  Dispatcher& dispatcher;
  ServerMetrics& metrics;
  const Clock& clock;
  int lanes = 1;
  RequestTracer* tracer = nullptr;
  LaneWatch* watch = nullptr;
};

class ServedModel : public std::enable_shared_from_this<ServedModel> {
 public:
  // `cost`: what is known of its batches beforehand.
  ServedModel(std::shared_ptr<Model> model, const BatchingOptions& batching, const ServingContext& context,
              const BatchCost& cost = {});
  // Gives memory that the model had back to the system.
  ~ServedModel();
  // Ready when that is done.
  std::shared_future<void> gone() const { return is_gone_; }

  Model& model() const { return *model_; }
  const BatchingOptions& batching() const { return batching_; }
  // When the last request came, or the model was made.
  Clock::TimePoint last_used() const { return Clock::TimePoint(Clock::TimePoint::duration(last_used_)); }
  int64_t queued() const { return queue_->queued(); }
  BatchCost cost() const { return queue_->cost(); }
  // Compute that was spared because its requests had been cancelled.
  double saved_seconds() const { return queue_->saved_seconds(); }
  ModelStatistics statistics() const { return statistics_.snapshot(); }
  // Of the requests answered, as of LatencyBuckets::counts.
  std::vector<std::pair<int64_t, uint64_t>> latencies() const { return statistics_.latencies(); }

  // What a request that came at `arrived` is refused with, which is counted then, because it would miss the model's target. To be asked before it is read: most of
  // what comes to an overloaded server costs no more than this.
  std::optional<Overloaded> overload(Clock::TimePoint arrived);
  // Counts the request and queues it; call->inputs are set, in the order and of the ranks of the signature. What is wrong is told
  // through call->fail, as everything is that happens later. Throws nothing.
  void infer(const std::shared_ptr<InferenceCall>& call);
  // Counts a request that did not come so far, because of what was thrown.
  void refuse(const std::exception_ptr& thrown, Clock::TimePoint arrived);

 private:
  class Run;
  // Lanes that run its batches together are one of the model's.
  int instance_of(int lane) const { return lane / batching_.lanes_per_batch; }
  void enqueue(const std::shared_ptr<InferenceCall>& call);
  void run(int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun);
  void run_together(int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun);
  void run_alone(int lane, const InferenceCall& call, Clock::TimePoint begun);
  friend class InferenceCall;  // tells of failures
  void count_failure(const std::exception_ptr& thrown, Clock::TimePoint arrived);
  void count_failure(FailureReason reason, bool cancelled, Clock::TimePoint arrived);

  std::shared_ptr<Model> model_;
  BatchingOptions batching_;
  std::optional<LengthBuckets> buckets_;
  const Clock& clock_;
  ModelMetrics& metrics_;
  RequestTracer* tracer_;
  LaneWatch* watch_;
  std::atomic<Clock::TimePoint::rep> last_used_;
  StatisticsRecorder statistics_;
  std::vector<BatchBuffer> buffers_;  // by lane
  std::unique_ptr<Dispatcher::Queue> queue_;
  std::promise<void> gone_;
  const std::shared_future<void> is_gone_ = gone_.get_future().share();
};

}  // namespace tandem
