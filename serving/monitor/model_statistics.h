// What a model version has done since it was loaded, in the terms of the protocol's statistics extension.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "serving/monitor/latency_buckets.h"

namespace tandem {

// How often, and how long altogether.
struct DurationSum {
  uint64_t count = 0;
  std::chrono::nanoseconds time{0};
  void add(std::chrono::nanoseconds duration, uint64_t times = 1) {
    count += times;
    time += duration * static_cast<int64_t>(times);
  }
};

struct ModelStatistics {
  struct Batch {  // of one size
    DurationSum input, infer, output;
  };
  uint64_t last_inference_ms = 0;  // Unix time; 0: none
  uint64_t inferences = 0;         // rows of the requests answered
  uint64_t executions = 0;         // batches
  DurationSum success, fail, queue, input, infer, output, cancelled;
  std::map<int64_t, Batch> batches;  // by rows
};

// Safe from any thread.
class StatisticsRecorder {
 public:
  // One batch that was answered: `requests` of them, `rows` altogether. Each request is said to have taken the whole time of its batch.
  struct Batch {
    uint64_t requests = 1;
    int64_t rows = 1;
    std::chrono::nanoseconds queue{0}, total{0};  // sums over the requests
    std::chrono::nanoseconds input{0}, infer{0}, output{0};
  };
  // While it lives, answers of a batch may be out that are not counted yet: whoever asks for the statistics waits for its end, so that
  // a client finds its answer counted.
  class Answering {
   public:
    explicit Answering(StatisticsRecorder& recorder) : recorder_(recorder), turn_(recorder.begin_answering()) {}
    Answering(const Answering&) = delete;
    ~Answering() { recorder_.end_answering(turn_); }

   private:
    StatisticsRecorder& recorder_;
    const size_t turn_;
  };
  void add(const Batch& batch);
  // A request that was not answered, `time` after it had come.
  void fail(std::chrono::nanoseconds time, bool cancelled = false);
  // How long one request took that was answered.
  void add_latency(std::chrono::nanoseconds latency) { latencies_.add(latency); }
  // Not from the thread of an Answering.
  ModelStatistics snapshot() const;
  // As of LatencyBuckets::counts.
  std::vector<std::pair<int64_t, uint64_t>> latencies() const { return latencies_.counts(); }

 private:
  size_t begin_answering();
  void end_answering(size_t turn);

  mutable std::mutex asking_;  // one at a time
  mutable std::mutex mutex_;
  mutable std::condition_variable answered_;
  mutable size_t turn_ = 0;      // each question takes the other one, so that it waits for none that begins after it
  int64_t answering_[2] = {0, 0};  // by turn
  ModelStatistics sums_;
  LatencyBuckets latencies_;
};

}  // namespace tandem
