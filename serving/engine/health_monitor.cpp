#include "serving/engine/health_monitor.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>

#include "kernels/base/error.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"
#include "serving/core/model.h"

namespace tandem {
namespace {

using std::chrono::duration_cast, std::chrono::seconds;

std::string seconds_text(Clock::TimePoint::duration time) { return std::to_string(duration_cast<seconds>(time).count()) + " s"; }

}  // namespace

// Of the probes; lives as long as one of them may still end.
struct HealthMonitor::State {
  struct Lane {
    std::optional<Clock::TimePoint> asked;  // a probe is under way
    std::optional<Clock::TimePoint> ended;  // the last one
    std::string failure;                    // of the last one
    std::string told;                       // what the log has
  };
  explicit State(Probe run, int count) : probe(std::move(run)), lanes(static_cast<size_t>(count)) {}

  void finish(int lane, Clock::TimePoint now, std::string failure) {
    const std::lock_guard lock(mutex);
    Lane& own = lanes[static_cast<size_t>(lane)];
    own.asked.reset();
    own.ended = now;
    own.failure = std::move(failure);
  }

  const Probe probe;
  std::mutex mutex;
  std::vector<Lane> lanes;
};

HealthMonitor::HealthMonitor(Workers& workers, const LaneWatch& watch, const Clock& clock, const HealthOptions& options, Probe probe,
                             std::function<void(const std::string& line)> log)
    : workers_(workers),
      watch_(watch),
      clock_(clock),
      options_(options),
      log_(std::move(log)),
      state_(std::make_shared<State>(std::move(probe), watch.lanes())) {}

void HealthMonitor::tick() {
  const Clock::TimePoint now = clock_.now();
  for (int lane = 0; lane < watch_.lanes(); ++lane) {
    const LaneWatch::State at = watch_.state(lane);
    bool is_stuck = false;
    const std::string problem = problem_of(lane, now, is_stuck);
    std::string line;
    bool is_due = false;
    {
      const std::lock_guard lock(state_->mutex);
      State::Lane& own = state_->lanes[static_cast<size_t>(lane)];
      if (problem.empty() != own.told.empty()) line = problem.empty() ? "lane " + std::to_string(lane) + " works again" : problem;
      if (!line.empty()) own.told = problem;
      const Clock::TimePoint proven = std::max(at.since, own.ended.value_or(Clock::TimePoint{}));
      is_due = !at.is_busy && !own.asked && now - proven >= options_.probe_every;
      if (is_due) own.asked = now;
    }
    if (!line.empty()) log_(line);
    if (!is_due) continue;
    const auto run = [state = state_, lane, &clock = clock_] {
      std::string failure;
      try {
        state->probe(lane);
      } catch (const std::exception& error) {
        failure = error.what();
      }
      state->finish(lane, clock.now(), std::move(failure));
    };
    try {
      workers_.submit(lane, run, [](const Error&) {});
    } catch (const Error&) {  // the lanes have stopped
    }
  }
}

std::string HealthMonitor::problem_of(int lane, Clock::TimePoint now, bool& is_stuck) const {
  const LaneWatch::State at = watch_.state(lane);
  const std::string who = "lane " + std::to_string(lane);
  const bool has_limit = options_.stuck_after.count() > 0;
  const std::lock_guard lock(state_->mutex);
  const State::Lane& own = state_->lanes[static_cast<size_t>(lane)];
  if (has_limit && at.is_busy && now - at.since > options_.stuck_after) {
    is_stuck = true;
    return who + " has been at a batch of '" + at.model + "' for " + seconds_text(now - at.since) + " (--stuck-after)";
  }
  // Batches that end after it was asked come before it, and prove the lane as well.
  if (has_limit && own.asked && !at.is_busy && now - std::max(*own.asked, at.since) > options_.stuck_after) {
    is_stuck = true;
    return who + " has not begun what it was given for " + seconds_text(now - *own.asked);
  }
  return own.failure.empty() ? "" : who + " does not compute as it should: " + own.failure;
}

std::vector<std::string> HealthMonitor::problems() const {
  std::vector<std::string> all;
  bool is_stuck = false;
  for (int lane = 0; lane < watch_.lanes(); ++lane) all.push_back(problem_of(lane, clock_.now(), is_stuck));
  return all;
}

std::string HealthMonitor::why_not_ready() const {
  const std::vector<std::string> all = problems();
  const auto found = std::ranges::find_if(all, [](const std::string& problem) { return !problem.empty(); });
  return found == all.end() ? "" : *found;
}

bool HealthMonitor::is_alive() const {
  for (int lane = 0; lane < watch_.lanes(); ++lane) {
    bool is_stuck = false;
    problem_of(lane, clock_.now(), is_stuck);
    if (!is_stuck) return true;
  }
  return false;
}

HealthMonitor::Probe product_probe(int lanes, int threads, const ServingDevice& device) {
  // y = x W with x = (1, 2, 3, 4) and W[i][j] = i + j: y[j] = 20 + 10 j.
  constexpr int kSize = 4;
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {"n", kSize});
  Tensor weights(DType::kF32, Shape{kSize, kSize});
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j) weights.view().as<float>()[static_cast<size_t>(i * kSize + j)] = static_cast<float>(i + j);
  graph.outputs = graph.add_node(newest_op("MatMul"), {x, graph.add_constant("w", std::move(weights))}, 1);
  ModelOptions options;
  options.lanes = lanes;
  options.threads = threads;
  options.batch = options.max_batch = 1;
  options.device = device;
  const auto model = std::make_shared<Model>("probe", 1, std::move(graph), options);
  const auto input = std::make_shared<Tensor>(Tensor::of<float>({1, kSize}, {1, 2, 3, 4}));
  return [model, input](int lane) {
    const std::array<ConstTensorView, 1> inputs{std::as_const(*input).view()};
    const ConstTensorView output = model->run(lane, inputs)[0];
    for (int j = 0; j < kSize; ++j) {
      const float value = output.as<float>()[static_cast<size_t>(j)], right = static_cast<float>(20 + 10 * j);
      check(value == right, ErrorCode::kDevice, "a product came out wrong", value, right);
    }
  };
}

}  // namespace tandem
