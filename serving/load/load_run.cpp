#include "serving/load/load_run.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"

namespace tandem {
namespace {

using TimePoint = Clock::TimePoint;
using std::chrono::nanoseconds;

constexpr nanoseconds kLook = std::chrono::milliseconds(100);  // between two calls of progress
constexpr double kTolerance = 0.01;                            // of the latency
constexpr nanoseconds kMostTolerance = std::chrono::milliseconds(2);
constexpr double kNewest = 1.0 / 16;  // of the mean latency

// The times at which requests of an open loop are due.
class Schedule {
 public:
  Schedule(const LoadPlan& plan, TimePoint begin) : plan_(plan), next_(begin) { advance(); }
  TimePoint next() const { return next_; }
  void advance() {
    // Times between arrivals of a Poisson process are exponential: -ln(1 - u) / rate.
    const double mean = 1e9 / plan_.rate;
    const double u = unit_float(philox(plan_.seed, count_++, 0)[0]);
    next_ += nanoseconds(static_cast<int64_t>(plan_.arrivals == Arrivals::kConstant ? mean : -std::log1p(-u) * mean));
  }

 private:
  const LoadPlan& plan_;
  uint64_t count_ = 0;
  TimePoint next_;
};

class Run {
 public:
  Run(LoadClient& client, const Clock& clock, const LoadPlan& plan, const LoadProgress& progress)
      : client_(client),
        clock_(clock),
        plan_(plan),
        progress_(progress),
        begin_(clock.now()),
        measured_(begin_ + plan.warmup),
        end_(measured_ + plan.time),
        look_(begin_ + kLook),
        schedule_(plan, begin_),
        due_(static_cast<size_t>(client.connections())) {
    for (int i = client.connections(); i-- > 0;) free_.push_back(i);
  }

  LoadResult result() {
    for (TimePoint now = begin_; now < end_; now = clock_.now()) {
      begin_requests(now);
      wait(now + tolerance(), std::min(next_event(), end_));
      if (now >= look_) tell(now);
    }
    finish();
    result_.seconds = std::chrono::duration<double>(plan_.time).count();
    return std::move(result_);
  }

 private:
  bool open_loop() const { return plan_.rate > 0; }

  void begin_requests(TimePoint now) {
    if (open_loop()) {
      take_due(now);
      return send_waiting();
    }
    while (!free_.empty()) send(clock_.now());
  }

  void take_due(TimePoint now) {
    for (; schedule_.next() <= now && schedule_.next() < end_; schedule_.advance()) waiting_.push_back(schedule_.next());
  }

  void send_waiting() {
    for (; !free_.empty() && !waiting_.empty(); waiting_.pop_front()) send(waiting_.front());
  }

  void send(TimePoint due) {
    const int connection = free_.back();
    free_.pop_back();
    due_[static_cast<size_t>(connection)] = due;
    client_.send(connection);
  }

  TimePoint next_event() const { return open_loop() ? std::min(schedule_.next(), look_) : look_; }

  // By which requests are sent, and answers read, too late: an open loop that woke for each would take much of a processor from a server that shares it.
  nanoseconds tolerance() const {
    return open_loop() ? std::min(nanoseconds(static_cast<int64_t>(kTolerance * mean_latency_)), kMostTolerance) : nanoseconds(0);
  }

  void wait(TimePoint from, TimePoint until) {
    answers_.clear();
    client_.wait(from, until, answers_);
    for (const LoadAnswer& answer : answers_) {
      free_.push_back(answer.connection);
      count(answer, due_[static_cast<size_t>(answer.connection)]);
    }
  }

  void count(const LoadAnswer& answer, TimePoint due) {
    if (answer.kind == AnswerKind::kOk) mean_latency_ += kNewest * (static_cast<double>(nanoseconds(answer.at - due).count()) - mean_latency_);
    if (answer.kind == AnswerKind::kOk && answer.at >= measured_ && answer.at < end_) ++result_.answered;
    if (due < measured_) return;
    switch (answer.kind) {
      case AnswerKind::kOk: ++result_.ok; return result_.latency.add(answer.at - due);
      case AnswerKind::kShed: ++result_.shed; return;
      case AnswerKind::kLate: ++result_.late; return;
      case AnswerKind::kFailed: ++result_.failed; return;
    }
  }

  void tell(TimePoint now) {
    look_ = now + kLook;
    if (progress_)
      progress_(std::chrono::duration<double>(now - begin_).count() / std::chrono::duration<double>(end_ - begin_).count(),
                result_);
  }

  // What was due is sent and answered, as long as patience lasts; also what was due while this thread did not get to run.
  void finish() {
    if (open_loop()) take_due(end_);
    const TimePoint last = end_ + plan_.patience;
    for (TimePoint now = end_; now < last && (!waiting_.empty() || free_.size() < due_.size()); now = clock_.now()) {
      send_waiting();
      wait(now, last);
    }
    result_.unanswered = static_cast<int64_t>(waiting_.size());
    std::vector<bool> is_free(due_.size());
    for (const int connection : free_) is_free[static_cast<size_t>(connection)] = true;
    for (size_t i = 0; i < due_.size(); ++i) result_.unanswered += !is_free[i] && due_[i] >= measured_;
  }

  LoadClient& client_;
  const Clock& clock_;
  const LoadPlan& plan_;
  const LoadProgress& progress_;
  const TimePoint begin_, measured_, end_;
  TimePoint look_;
  Schedule schedule_;
  std::deque<TimePoint> waiting_;  // due, without a connection
  std::vector<int> free_;
  std::vector<TimePoint> due_;  // by connection
  std::vector<LoadAnswer> answers_;
  double mean_latency_ = 0;  // ns, of the last good answers
  LoadResult result_;
};

}  // namespace

LoadResult run_load(LoadClient& client, const Clock& clock, const LoadPlan& plan, const LoadProgress& progress) {
  require(client.connections() >= 1, "a load needs at least one connection", client.connections());
  require(plan.rate >= 0 && std::isfinite(plan.rate), "the rate of requests must not be negative", plan.rate);
  require(plan.time.count() > 0 && plan.warmup.count() >= 0 && plan.patience.count() >= 0,
          "the time of a load must be positive (ns)", plan.time.count());
  return Run(client, clock, plan, progress).result();
}

}  // namespace tandem
