// Whether the lanes still answer: a watchdog on batches that do not end, and a small inference now and then on each lane that has nothing to do.
//
// A batch cannot be taken off its lane: what is stuck stays so until it ends by itself or the server is started again. So a server with a stuck
// lane says that it is not ready, and one whose lanes are all stuck that it is not alive. A lane at work proves itself by the batches that end;
// one that is idle is asked every `probe_every`.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serving/batching/workers.h"
#include "serving/core/serving_device.h"
#include "serving/engine/lane_watch.h"

namespace tandem {

struct HealthOptions {
  std::chrono::nanoseconds stuck_after = std::chrono::seconds(60);  // of a batch, or of a probe that nobody runs; 0: never
  std::chrono::nanoseconds probe_every = std::chrono::seconds(10);
};

class HealthMonitor {
 public:
  // Runs on the thread of `lane`; throws if the lane does not compute as it should.
  using Probe = std::function<void(int lane)>;

  // What is given here outlives it, but for probes under way, which may end later. `log` is called for each change.
  HealthMonitor(Workers& workers, const LaneWatch& watch, const Clock& clock, const HealthOptions& options, Probe probe,
                std::function<void(const std::string& line)> log);

  // Sends probes to lanes that are due, and tells of changes. To be called again and again; any one thread.
  void tick();
  // Any thread. By lane: what is wrong with it now; "": nothing.
  std::vector<std::string> problems() const;
  // The first of these, "" if all lanes are well.
  std::string why_not_ready() const;
  bool is_alive() const;  // some lane is not stuck

 private:
  struct State;
  std::string problem_of(int lane, Clock::TimePoint now, bool& is_stuck) const;

  Workers& workers_;
  const LaneWatch& watch_;
  const Clock& clock_;
  const HealthOptions options_;
  const std::function<void(const std::string& line)> log_;
  std::shared_ptr<State> state_;
};

// A product with a known answer, computed as models are: on the device if there is one. Throws what Model throws.
HealthMonitor::Probe product_probe(int lanes, int threads, const ServingDevice& device);

}  // namespace tandem
