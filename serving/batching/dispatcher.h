// Shares the lanes among the queues of all models.
//
// A lane that has nothing to do sleeps; a request that makes a batch due wakes one. A lane that has finished a batch looks for
// the next before it sleeps, so batches are formed as late as can be, from all that waits by then, and at one request at a time
// nothing is added to its way but this one hop. Where the lane lends itself and the batch is brief, even that is spared: the thread
// that brings requests runs them, once it has brought all that came at once.
//
// A model may have its batches run by several lanes together (BatchingOptions::lanes_per_batch): such a batch begins when a group of
// neighbours is idle, which wait for one another once it is that model's turn; the first of them runs it, with the processors of all.
//
// Fairness: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996). Each queue has a virtual time, which the time of its
// batches divided by its weight moves on; of the queues with a batch due the one that is furthest behind goes next. A queue that
// was empty starts from where the others are, so nobody saves up.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "serving/batching/model_share.h"
#include "serving/batching/workers.h"

namespace tandem {

class Dispatcher {
 public:
  // One model's queue. The handle may go while the lanes still run a batch of it; what waits then is dropped with Unavailable.
  class Queue {
   public:
    virtual ~Queue() = default;
    // What submit() would refuse a request with that comes now, because it would miss the model's target. To ask first spares making
    // the request.
    virtual std::optional<Overloaded> overload() const = 0;
    // Throws what ModelQueue::push throws, Overloaded for a request that would miss the model's target, and Unavailable once the dispatcher has stopped; nobody has seen the request then.
    virtual void submit(QueuedPtr request) = 0;
    // Taken and not yet begun.
    virtual int64_t queued() const = 0;
    // What batches take, by rows, as far as it is known.
    virtual BatchCost cost() const = 0;
    // Work that was spared because its requests had been cancelled.
    virtual double saved_seconds() const = 0;
  };

  // Both must outlive it. `wake_at` is called (any thread, not for long) with the time at which tick() is wanted, or nothing:
  // then it is not wanted any more.
  Dispatcher(Workers& workers, const Clock& clock, std::function<void(std::optional<Clock::TimePoint>)> wake_at = {});
  ~Dispatcher();

  // `weight`: its share of the lanes' time beside other queues.
  // `cost`: what is known of its batches beforehand.
  std::unique_ptr<Queue> add(std::string model, BatchingOptions options, BatchRunner run, double weight = 1, const BatchCost& cost = {});
  // Drops what has waited too long, and wakes lanes for what has become due.
  void tick();
  // Drops all that waits; submit() throws from now on. Batches that run are not waited for: end the lanes.
  void stop();

 private:
  using Entry = ModelShare;
  struct State;
  class Handle;
  std::shared_ptr<State> state_;
};

}  // namespace tandem
