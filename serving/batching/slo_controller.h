// What a target of latency means for one model: how many rows a batch has, and which requests are refused at once.
//
// Batch: a request may come just after a batch was begun and then waits for a whole one before its own, so two batches must fit into the
// target (Nexus: Shen et al., SOSP 2019); of the sizes that fit, the one of most rows a second is taken. Nobody waits for others while a lane
// is free (max_delay 0): a lane that idles while a request waits gains nothing for any quantile, and under load batches fill by themselves.
// Admission: costs are known, so it is known when a request would be answered; one that would miss its target is refused when it comes
// (Clockwork: Gujarati et al., OSDI 2020), since to queue it would make others late too. Safety: the share of the target that is planned
// with follows how many answers were late (additive increase, multiplicative decrease, as Clipper: Crankshaw et al., NSDI 2017).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "serving/batching/batch_cost.h"
#include "serving/batching/slo.h"

namespace tandem {

class SloController {
 public:
  SloController(const Slo& slo, int64_t max_batch) : slo_(slo), max_batch_(max_batch) {}

  // What a request finds when it comes.
  struct Ahead {
    int64_t rows = 0;                   // that wait before it
    std::span<const double> lanes = {};  // seconds until each is free, ascending; 0: now
  };

  // Rows of a batch at most.
  int64_t batch(const BatchCost& cost);
  // Seconds until a request that comes now is begun.
  double wait(const BatchCost& cost, const Ahead& ahead);
  // Seconds that a request may wait and still be answered in time.
  double slack(const BatchCost& cost);
  // Whether a request that comes now will be answered in time. One for which a lane is free always is taken: who else could answer it?
  bool admits(const BatchCost& cost, const Ahead& ahead);

  // A request was begun after so long, which wait() had said.
  void began(double said, double waited);
  // A request was answered so long after it had come.
  void answered(double seconds);

  const Slo& slo() const { return slo_; }
  double seconds() const { return static_cast<double>(slo_.target.count()) * 1e-6; }
  // What is planned with of it.
  double budget() const { return seconds() * share_; }

 private:
  double deviations() const;

  Slo slo_;
  int64_t max_batch_;
  int64_t batch_ = 0;      // chosen; 0: not yet
  int64_t until_next_ = 0;  // calls until it is chosen anew
  double share_ = 0.9;     // of the target that is planned with
  double slower_ = 1;      // than wait() says by itself: what other models take of the lanes
  int64_t answers_ = 0, late_ = 0;  // since share_ was looked at
};

}  // namespace tandem
