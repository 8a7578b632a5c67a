// How the requests of one model are put together: the fields of Triton's dynamic_batching, with their meaning there.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "serving/batching/slo.h"

namespace tandem {

// What becomes of a request that waits too long, or finds too many before it.
struct QueuePolicy {
  enum class OnTimeout : uint8_t { kReject, kDelay };  // kDelay: it runs after all others of its priority
  OnTimeout on_timeout = OnTimeout::kReject;
  std::chrono::microseconds timeout{0};  // 0: none
  bool allow_override = false;           // a request may name a shorter timeout
  int64_t max_size = 0;                  // requests that wait; 0: the server's limit alone
};

struct BatchingOptions {
  int64_t max_batch_size = 1;                 // rows of one batch; 1: each request runs alone
  std::vector<int64_t> preferred_sizes = {};  // ascending; while one of them can be made, no request waits for more
  std::chrono::microseconds max_delay{0};     // that a request waits for others, if a lane is free; 0: none does
  // What a batch may take, by what the last ones took: rows beyond wait for the next, which another lane may run. 0: no limit.
  std::chrono::microseconds max_batch_time{0};
  // In place of the four above: batches and refusals are chosen so that answers keep it.
  std::optional<Slo> slo = {};
  int lanes_per_batch = 1;         // neighbours that one batch has together, as one team; divides the lanes that there are
  bool preserve_ordering = false;  // answers leave in the order in which requests came
  int64_t priority_levels = 0;     // 1 is the most urgent; 0: all are equal
  int64_t default_priority = 0;
  QueuePolicy policy = {};  // of priorities that have none of their own
  std::map<int64_t, QueuePolicy> priority_policies = {};
  int64_t queue_length = 4'096;  // the server's limit of requests that wait
};

}  // namespace tandem
