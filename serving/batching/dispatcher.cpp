#include "serving/batching/dispatcher.h"

#include <algorithm>

namespace tandem {
namespace {

constexpr double kMuchLonger = 4;  // batches that make others wait
constexpr std::chrono::seconds kRecently{1};
constexpr std::chrono::seconds kLate{1};  // beyond what was expected: nobody knows when such a batch ends, and nobody waits for it

void drop_all(const ModelQueue::Dropped& dropped) {
  for (const auto& [request, why] : dropped) request->drop(why);
}

}  // namespace

// Lives as long as a lane or a handle may still come.
struct Dispatcher::State : std::enable_shared_from_this<State> {
  Workers& workers;
  const Clock& clock;
  std::function<void(std::optional<Clock::TimePoint>)> wake_at;

  std::mutex mutex;  // of all below
  std::vector<std::shared_ptr<Entry>> entries;
  enum class LaneState : uint8_t { kAsleep, kAwake, kKept };  // kKept: for a batch that a neighbour runs, or is about to
  std::vector<LaneState> lanes;
  std::vector<Clock::TimePoint> free_at;    // by lane: when its batch is expected to end
  std::vector<int> holds;                   // by lane: how many it has with the neighbours that are kept for its batches
  std::vector<std::shared_ptr<Entry>> led;  // by lane: whose batch it is to begin on these
  std::vector<const RunLater*> put_off;   // threads that will run what is brief, each in the name of a lane
  double virtual_now = 0;                 // of the batch that was begun last
  std::optional<Clock::TimePoint> alarm;
  std::optional<Clock::TimePoint> waits_until;  // lanes that wait for neighbours, if these are not idle before
  bool stopped = false;

  State(Workers& workers, const Clock& clock, std::function<void(std::optional<Clock::TimePoint>)> wake_at)
      : workers(workers),
        clock(clock),
        wake_at(std::move(wake_at)),
        lanes(static_cast<size_t>(workers.lanes()), LaneState::kAsleep),
        free_at(lanes.size()),
        holds(lanes.size(), 1),
        led(lanes.size()) {}

  struct Batch {
    std::shared_ptr<Entry> entry;
    std::vector<QueuedPtr> requests;
  };

  void submit(const std::shared_ptr<Entry>& entry, QueuedPtr request) {
    std::unique_lock lock(mutex);
    check(!stopped, ErrorCode::kUnavailable, "the server is shutting down");
    const Clock::TimePoint now = clock.now();
    if (entry->queue.size() == 0) entry->virtual_time = std::max(entry->virtual_time, virtual_now);
    const RunLater* const here = request->here;
    entry->push(std::move(request), now, free_at);
    const bool is_due = entry->queue.is_due(now), is_brief = is_due && here && entry->is_brief() && workers.lend();
    const bool is_expected = is_brief && std::ranges::find(put_off, here) != put_off.end();
    const std::optional<size_t> lane = is_due && !is_expected ? a_sleeping_lane() : std::nullopt;
    if (lane) awake(*lane, now);
    if (lane && is_brief) put_off.push_back(here);
    set_alarm(now);
    lock.unlock();
    if (!lane) return;
    if (is_brief)
      put_off_work(*lane, here);
    else
      wake(*lane);
  }

  void put_off_work(size_t lane, const RunLater* here) {
    try {
      (*here)([self = shared_from_this(), lane, here] { self->work_here(lane, here); });
    } catch (const std::bad_alloc&) {
      work_here(lane, here);
    }
  }

  std::optional<size_t> a_sleeping_lane() const {
    const auto found = std::ranges::find(lanes, LaneState::kAsleep);
    return found == lanes.end() ? std::nullopt : std::optional(static_cast<size_t>(found - lanes.begin()));
  }

  void awake(size_t lane, Clock::TimePoint now) {
    lanes[lane] = LaneState::kAwake;
    free_at[lane] = now;
  }

  // So many lanes, if they sleep, are to be woken: `woken`, without the lock.
  void note_to_wake(int64_t count, Clock::TimePoint now, std::vector<size_t>& woken) {
    for (; count > 0; --count) {
      const auto lane = a_sleeping_lane();
      if (!lane) return;
      awake(*lane, now);
      woken.push_back(*lane);
    }
  }

  // Lanes that slept because they waited for others may have slept through what became due.
  void note_those_that_waited(Clock::TimePoint now, std::vector<size_t>& woken) {
    int64_t requests = 0;  // at most as many batches
    for (const auto& entry : entries) requests += entry->queue.is_due(now) ? entry->queue.size() : 0;
    note_to_wake(requests, now, woken);
  }

  // Not under the lock: a test's lane may run at once.
  void wake(size_t lane) {
    const auto work = [self = shared_from_this(), lane] { self->work(lane); };
    try {
      workers.submit(static_cast<int>(lane), work, [](const Error&) {});
    } catch (const Error&) {  // the lanes have stopped: stop() drops what waits
    }
  }

  // On the lane's thread: batch after batch, until none is due.
  void work(size_t lane) {
    while (work_once(lane, false) == Did::kBatch) {
    }
  }

  // One batch, on the thread that brought it. What is not brief, or has come meanwhile and nobody else is about to run, is the lane's.
  void work_here(size_t lane, const RunLater* here) {
    {
      const std::lock_guard lock(mutex);
      std::erase(put_off, here);
    }
    const Did did = work_once(lane, true);
    if (did == Did::kNothing) return;
    if (did == Did::kBatch) {
      const std::lock_guard lock(mutex);
      const Clock::TimePoint now = clock.now();
      if (!put_off.empty() || std::ranges::none_of(entries, [&](const auto& entry) { return entry->queue.is_due(now); })) {
        lanes[lane] = LaneState::kAsleep;
        free_at[lane] = now;
        return;
      }
    }
    wake(lane);
  }

  enum class Did : uint8_t { kBatch, kNothing, kLeft };

  // The batch that is due. Where none is the lane sleeps; one that is not brief is left where `only_brief`.
  Did work_once(size_t lane, bool only_brief) {
    ModelQueue::Dropped dropped;
    std::vector<size_t> woken;
    Batch batch;
    Clock::TimePoint now;
    Did did = Did::kBatch;
    {
      const std::lock_guard lock(mutex);
      now = clock.now();
      sweep(now, dropped);
      const std::shared_ptr<Entry> next = next_of(lane, now, woken);
      if (!next) did = Did::kNothing;
      else if (only_brief && !next->is_brief()) did = Did::kLeft;
      else batch = begin(next, now);
      if (!next && lanes[lane] == LaneState::kAwake) lanes[lane] = LaneState::kAsleep;
      std::fill_n(free_at.begin() + static_cast<std::ptrdiff_t>(lane), holds[lane], batch.entry ? now + expected(batch) : now);
      if (did == Did::kLeft && holds[lane] > 1) led[lane] = next;
      if ((did == Did::kBatch && holds[lane] > 1) || !dropped.empty()) note_those_that_waited(now, woken);
      set_alarm(now);
    }
    drop_all(dropped);
    for (const size_t other : woken) wake(other);
    if (did == Did::kBatch) run(lane, batch, now);
    return did;
  }

  // What `lane` begins now; nothing if it has to sleep, or is kept. For a batch of several lanes a group of neighbours that are idle is kept, and its first lane
  // begins it, and others after it as long as they are next. Where no group is idle, one is waited for: else its lanes would never be so all at once.
  std::shared_ptr<Entry> next_of(size_t lane, Clock::TimePoint now, std::vector<size_t>& woken) {
    if (holds[lane] > 1) {
      std::shared_ptr<Entry> next = std::exchange(led[lane], nullptr);
      if (!next || stopped || !next->queue.is_due(now)) next = next_entry(now);
      if (next && next->lanes() == holds[lane]) return next;
      let_go(lane, now, woken);
    }
    for (;;) {
      std::shared_ptr<Entry> next = next_entry(now);
      if (!next || next->lanes() == 1) return next;
      const auto size = static_cast<size_t>(next->lanes());
      const std::optional<size_t> leader = an_idle_group(size, lane);
      if (!leader) return meanwhile(lane, size, now);
      for (size_t i = *leader; i < *leader + size; ++i) lanes[i] = LaneState::kKept, free_at[i] = now;
      lanes[*leader] = LaneState::kAwake;
      holds[*leader] = next->lanes();
      if (*leader == lane) return next;
      led[*leader] = std::move(next);
      woken.push_back(*leader);
      if (lanes[lane] == LaneState::kKept) return nullptr;
    }
  }

  // What `lane` begins while a batch of several lanes is next and no group is idle. A lane of the group that is waited for takes what will be done before
  // the others are (as backfilling does: Lifka, 1995), the other lanes take anything of one lane.
  std::shared_ptr<Entry> meanwhile(size_t lane, size_t size, Clock::TimePoint now) {
    const std::optional<Group> group = group_to_wait_for(size, lane, now);
    const bool waits = group && group->first <= lane && lane < group->first + size;
    std::shared_ptr<Entry> next = next_entry(now, [&](const Entry& entry) {
      if (entry.lanes() > 1) return false;
      const auto takes = std::chrono::duration_cast<Clock::TimePoint::duration>(std::chrono::duration<double>(entry.batch_seconds()));
      return !waits || (entry.batch_seconds() > 0 && now + takes <= group->idle_at);
    });
    if (!next && waits) waits_until = group->late_at;
    return next;
  }

  struct Group {
    size_t first;
    Clock::TimePoint idle_at, late_at;  // expected to be idle; too late to be waited for, if it is not
  };
  // The neighbours that will be idle first, as far as one knows; none where each group has a lane that is late.
  std::optional<Group> group_to_wait_for(size_t size, size_t asking, Clock::TimePoint now) const {
    std::optional<Group> best;
    for (size_t first = 0; first + size <= lanes.size(); first += size) {
      Group group{first, now, Clock::TimePoint::max()};
      for (size_t i = first; i < first + size; ++i)
        if (lanes[i] != LaneState::kAsleep && i != asking) {
          group.idle_at = std::max(group.idle_at, free_at[i]);
          group.late_at = std::min(group.late_at, free_at[i] + kLate);
        }
      if (group.late_at > now && (!best || group.idle_at < best->idle_at)) best = group;
    }
    return best;
  }

  // The first of so many neighbours that have nothing to do, `asking` among them or not.
  std::optional<size_t> an_idle_group(size_t size, size_t asking) const {
    for (size_t first = 0; first + size <= lanes.size(); first += size) {
      size_t idle = 0;
      while (idle < size && (lanes[first + idle] == LaneState::kAsleep || first + idle == asking)) ++idle;
      if (idle == size) return first;
    }
    return std::nullopt;
  }

  // The neighbours that were kept for a lane sleep again, or do what has become due.
  void let_go(size_t leader, Clock::TimePoint now, std::vector<size_t>& woken) {
    for (size_t lane = leader + 1; lane < leader + static_cast<size_t>(holds[leader]); ++lane) {
      lanes[lane] = LaneState::kAsleep;
      free_at[lane] = now;
    }
    holds[leader] = 1;
    note_those_that_waited(now, woken);
  }

  void sweep(Clock::TimePoint now, ModelQueue::Dropped& dropped) {
    for (const auto& entry : entries)
      for (auto& one : entry->queue.sweep(now)) dropped.push_back(std::move(one));
  }

  // Whether its batches are much longer than those of another model that is in use.
  bool is_heavy(const Entry& entry, Clock::TimePoint now) const {
    return std::ranges::any_of(entries, [&](const auto& other) {
      return other->batch_seconds() > 0 && now - other->last_used < kRecently &&
             entry.batch_seconds() > kMuchLonger * other->batch_seconds();
    });
  }

  // The last lane is kept from models with long batches while others are in use: else these would wait for a whole batch. Not so where a batch needs all.
  bool leaves_a_lane(const Entry& entry, Clock::TimePoint now) const {
    const auto own = static_cast<size_t>(entry.lanes());
    if (own == lanes.size() || !is_heavy(entry, now)) return true;
    size_t taken = 0;
    for (const auto& other : entries)
      if (other->running > 0 && is_heavy(*other, now)) taken += static_cast<size_t>(other->running * other->lanes());
    return taken + own < lanes.size();
  }

  // Of the queue that is furthest behind, the first of equals, of those that `may` take.
  std::shared_ptr<Entry> next_entry(Clock::TimePoint now, const std::function<bool(const Entry&)>& may = {}) const {
    std::shared_ptr<Entry> best;
    if (stopped) return best;
    // Others with long batches do not go before one that lacks lanes beside the one that is kept: they would always take what becomes free.
    std::optional<double> lacks_lanes;
    const auto is_due = [&](const auto& entry) {
      return entry->queue.size() > 0 && entry->may_run() && entry->queue.is_due(now) && std::ranges::find(led, entry) == led.end();
    };
    for (const auto& entry : entries)
      if (entry->lanes() > 1 && is_due(entry) && !leaves_a_lane(*entry, now))
        lacks_lanes = std::min(entry->virtual_time, lacks_lanes.value_or(entry->virtual_time));
    for (const auto& entry : entries)
      if ((!best || entry->virtual_time < best->virtual_time) && is_due(entry) && (!may || may(*entry)) && leaves_a_lane(*entry, now) &&
          !(lacks_lanes && *lacks_lanes < entry->virtual_time && is_heavy(*entry, now)))
        best = entry;
    return best;
  }

  Batch begin(const std::shared_ptr<Entry>& entry, Clock::TimePoint now) {
    virtual_now = entry->virtual_time;
    ++entry->running;
    return {entry, entry->take(now)};
  }

  static int64_t rows_of(const Batch& batch) {
    int64_t rows = 0;
    for (const QueuedPtr& request : batch.requests) rows += request->rows;
    return rows;
  }
  static Clock::TimePoint::duration expected(const Batch& batch) {
    return std::chrono::duration_cast<Clock::TimePoint::duration>(
        std::chrono::duration<double>(batch.entry->cost.seconds(rows_of(batch))));
  }

  void run(size_t lane, Batch& batch, Clock::TimePoint begun) {
    Entry& entry = *batch.entry;
    const int64_t all = rows_of(batch);
    std::erase_if(batch.requests, [&](const QueuedPtr& request) {
      if (!request->cancelled()) return false;
      request->drop(std::make_exception_ptr(
          Error(ErrorCode::kCancelled, "the request was cancelled before '" + entry.queue.model() + "' ran it")));
      return true;
    });
    const int64_t begun_rows = rows_of(batch);  // of requests that may have none
    const bool begins = !batch.requests.empty();
    std::vector<Clock::TimePoint> queued;
    if (entry.has_target())
      for (const QueuedPtr& request : batch.requests) queued.push_back(request->queued);
    const auto run_it = [&] { entry.run(static_cast<int>(lane), batch.requests, begun); };
    if (begins && entry.lanes() > 1)
      workers.run_across(static_cast<int>(lane), entry.lanes(), run_it);
    else if (begins)
      run_it();
    const bool stopped =
        begins && std::ranges::all_of(batch.requests, [](const QueuedPtr& request) { return request->cancelled(); });
    batch.requests.clear();
    const Clock::TimePoint ended = clock.now();
    const std::lock_guard lock(mutex);
    --entry.running;
    if (stopped || !begins)
      entry.saved_seconds += std::max(0.0, entry.cost.seconds(all) - std::chrono::duration<double>(ended - begun).count());
    entry.account(stopped ? 0 : begun_rows, begun, ended, queued);
  }

  void set_alarm(Clock::TimePoint now) {
    std::optional<Clock::TimePoint> next;
    for (const auto& entry : entries)
      if (const auto event = entry->queue.next_event(now); event && (!next || *event < *next)) next = event;
    if (waits_until && (!next || *waits_until < *next)) next = waits_until;
    if (next == alarm) return;
    alarm = next;
    if (wake_at) wake_at(next);
  }

  void tick() {
    ModelQueue::Dropped dropped;
    std::vector<size_t> woken;
    {
      const std::lock_guard lock(mutex);
      const Clock::TimePoint now = clock.now();
      alarm.reset();
      sweep(now, dropped);
      if (!dropped.empty() || (waits_until && *waits_until <= now))
        note_those_that_waited(now, woken);
      else
        note_to_wake(std::ranges::count_if(entries, [&](const auto& entry) { return entry->queue.is_due(now); }), now, woken);
      if (waits_until && *waits_until <= now) waits_until.reset();
      set_alarm(now);
    }
    drop_all(dropped);
    for (const size_t lane : woken) wake(lane);
  }

  static void drop_waiting(Entry& entry, std::vector<QueuedPtr> waiting, const std::string& why) {
    for (const QueuedPtr& request : waiting)
      request->drop(std::make_exception_ptr(Error(ErrorCode::kUnavailable, "'" + entry.queue.model() + "' " + why)));
  }

  void remove(const std::shared_ptr<Entry>& entry) {
    std::vector<QueuedPtr> waiting;
    std::vector<size_t> woken;
    {
      const std::lock_guard lock(mutex);
      std::erase(entries, entry);
      waiting = entry->queue.take_all();
      if (!waiting.empty()) note_those_that_waited(clock.now(), woken);
    }
    for (const size_t lane : woken) wake(lane);
    drop_waiting(*entry, std::move(waiting), "was unloaded before the request's turn");
  }

  void stop() {
    std::vector<std::pair<std::shared_ptr<Entry>, std::vector<QueuedPtr>>> all;
    {
      const std::lock_guard lock(mutex);
      stopped = true;
      for (const auto& entry : entries) all.emplace_back(entry, entry->queue.take_all());
    }
    for (auto& [entry, waiting] : all) drop_waiting(*entry, std::move(waiting), "cannot answer: the server is shutting down");
  }
};

class Dispatcher::Handle final : public Queue {
 public:
  Handle(std::shared_ptr<State> state, std::shared_ptr<Entry> entry) : state_(std::move(state)), entry_(std::move(entry)) {}
  ~Handle() override { state_->remove(entry_); }
  std::optional<Overloaded> overload() const override {
    if (!entry_->has_target()) return std::nullopt;
    const std::lock_guard lock(state_->mutex);
    if (state_->stopped) return std::nullopt;
    return entry_->overload(state_->clock.now(), state_->free_at);
  }
  void submit(QueuedPtr request) override { state_->submit(entry_, std::move(request)); }
  int64_t queued() const override {
    const std::lock_guard lock(state_->mutex);
    return entry_->queue.size();
  }
  BatchCost cost() const override {
    const std::lock_guard lock(state_->mutex);
    return entry_->cost;
  }
  double saved_seconds() const override {
    const std::lock_guard lock(state_->mutex);
    return entry_->saved_seconds;
  }

 private:
  std::shared_ptr<State> state_;
  std::shared_ptr<Entry> entry_;
};

Dispatcher::Dispatcher(Workers& workers, const Clock& clock, std::function<void(std::optional<Clock::TimePoint>)> wake_at)
    : state_(std::make_shared<State>(workers, clock, std::move(wake_at))) {}
Dispatcher::~Dispatcher() { stop(); }

std::unique_ptr<Dispatcher::Queue> Dispatcher::add(std::string model, BatchingOptions options, BatchRunner run, double weight,
                                                   const BatchCost& cost) {
  require(weight > 0, "the weight of a model must be positive", weight);
  require(options.lanes_per_batch >= 1 && state_->lanes.size() % static_cast<size_t>(options.lanes_per_batch) == 0,
          "the lanes of a batch must divide those that there are", options.lanes_per_batch, state_->lanes.size());
  auto entry = std::make_shared<Entry>(ModelQueue(std::move(model), std::move(options)), std::move(run), weight);
  entry->cost = cost;
  const std::lock_guard lock(state_->mutex);
  state_->entries.push_back(entry);
  return std::make_unique<Handle>(state_, std::move(entry));
}

void Dispatcher::tick() { state_->tick(); }
void Dispatcher::stop() { state_->stop(); }

}  // namespace tandem
