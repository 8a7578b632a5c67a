// Into how many instances the lanes are divided for a model with a target of latency.
//
// Lanes that run batches each for itself do the most rows a second, as long as the target leaves them the time: a team waits for its slowest thread.
// Lanes that run one batch together end it sooner. So more of them are put together only where that is of use: two batches would not fit into the target
// (slo_controller.h), or only ones that are so small that larger ones in a shorter time do more.
#pragma once

#include <cstdint>
#include <functional>

#include "serving/batching/batch_cost.h"
#include "serving/batching/slo.h"

namespace tandem {

struct InstanceChoice {
  int lanes_per_batch = 1;     // there are lanes / lanes_per_batch instances
  int64_t rows = 1;            // of a batch
  double rows_per_second = 0;  // of all instances together; 0: nothing is known
  int fitting = 0;             // batches that fit into the target one after the other, 2 at most
  BatchCost cost = {};
};

// `measure`: what batches take while every instance of so many lanes runs one; nothing known: they cannot be put together so. Asked for one lane, then for
// twice as many (or the next divisor of `lanes`) as long as batches became shorter, and a team without loss would gain by the next step.
InstanceChoice choose_instances(const Slo& slo, int64_t max_batch, int lanes, const std::function<BatchCost(int lanes_per_batch)>& measure);

}  // namespace tandem
