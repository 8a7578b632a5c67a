#include "runtime/comm/rendezvous.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "runtime/comm/futex.h"

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;

// How long a sleeper may take to notice an abort or a death that nobody woke it for.
constexpr std::chrono::milliseconds kNap{20};

std::string_view name_of(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kAllReduce: return "all_reduce";
    case CollectiveKind::kBroadcast: return "broadcast";
    case CollectiveKind::kAllGather: return "all_gather";
    case CollectiveKind::kBarrier: return "barrier";
  }
  return "unknown collective";
}

std::string to_text(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s" : std::to_string(time.count()) + " ms";
}

std::string rank_text(int rank) { return "rank " + std::to_string(rank); }

std::string to_text(const Announcement& what) {
  std::string text(name_of(what.kind));
  if (what.kind == CollectiveKind::kAllReduce || what.kind == CollectiveKind::kBroadcast)
    text += " of " + std::to_string(what.bytes) + " bytes";
  if (what.kind == CollectiveKind::kBroadcast) text += " from " + rank_text(what.root);
  return text;
}

// Spinning (some 20 us) pays only while every rank has a core of its own.
int spins_for(int ranks) {
  const unsigned cores = std::thread::hardware_concurrency();
  return static_cast<unsigned>(ranks) <= cores ? 500 : 1;
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // waits about as long as x86's pause; yield does nothing on most
#endif
}

}  // namespace

Rendezvous::Rendezvous(std::shared_ptr<Segment> segment, int rank, std::chrono::milliseconds deadline,
                       std::function<bool(int)> is_alive)
    : segment_(std::move(segment)),
      rank_(rank),
      deadline_(deadline),
      is_alive_(std::move(is_alive)),
      spins_(spins_for(segment_->size())) {
  require(rank >= 0 && rank < segment_->size(), "rank out of range", rank, segment_->size());
  require(deadline.count() > 0, "deadline of collectives must be positive", deadline.count());
}

void Rendezvous::begin(const Announcement& what) {
  current_ = what;
  first_round_ = true;
  ++round_;
  segment_->rank(rank_).announced[round_ % 2] = what;
}

void Rendezvous::arrive() {
  check_aborted();
  publish(&RankState::arrived);
  await_all(&RankState::arrived, "did not arrive");
  if (first_round_) compare_announcements();
  first_round_ = false;
}

void Rendezvous::finish() {
  publish(&RankState::finished);
  await_all(&RankState::finished, "did not finish its share");
}

// Store, then look for sleepers; a sleeper counts itself, then looks at the word: with sequential consistency one sees the other.
void Rendezvous::publish(Counter counter) {
  RankState& state = segment_->rank(rank_);
  (state.*counter).store(round_);
  if (state.sleepers.load() != 0) futex_wake_all(state.*counter);
}

bool Rendezvous::reached(int peer, Counter counter) const {
  return static_cast<int32_t>((segment_->rank(peer).*counter).load(std::memory_order_acquire) - round_) >= 0;
}

void Rendezvous::await_all(Counter counter, std::string_view verb) {
  for (int peer = 0; peer < size(); ++peer) await(peer, counter, verb);
}

void Rendezvous::await(int peer, Counter counter, std::string_view verb) {
  for (int spin = 0; spin < spins_; ++spin) {
    if (reached(peer, counter)) return;
    relax();
  }
  RankState& state = segment_->rank(peer);
  const Clock::time_point end = Clock::now() + deadline_;
  for (;;) {
    const uint32_t seen = (state.*counter).load(std::memory_order_acquire);
    if (static_cast<int32_t>(seen - round_) >= 0) return;
    check_aborted();
    check_peers(counter);
    const Clock::duration rest = end - Clock::now();
    // Looked at once more: a rank that was itself frozen past the deadline must not blame a peer that came in time.
    if (rest <= Clock::duration::zero() && !reached(peer, counter))
      fail_group(ErrorCode::kDeadlineExceeded, rank_text(peer) + " " + std::string(verb) + " within " + to_text(deadline_));
    state.sleepers.fetch_add(1);
    futex_wait(state.*counter, seen, std::clamp<Clock::duration>(rest, Clock::duration::zero(), kNap));
    state.sleepers.fetch_sub(1);
  }
}

// A rank that ended before it reached this round never will. Its counter is read again after its end was seen: its last act may
// have been to reach it.
void Rendezvous::check_peers(Counter counter) {
  for (int peer = 0; peer < size(); ++peer) {
    if (reached(peer, counter)) continue;
    const bool left = segment_->rank(peer).left.load() != 0;
    if ((left || !is_alive_(peer)) && !reached(peer, counter))
      fail_group(ErrorCode::kUnavailable, rank_text(peer) + (left ? " left the group" : " died"));
  }
}

void Rendezvous::compare_announcements() {
  for (int peer = 0; peer < size(); ++peer) {
    const Announcement other = segment_->rank(peer).announced[round_ % 2];
    if (other.kind == current_.kind && other.bytes == current_.bytes && other.root == current_.root) continue;
    fail_group(ErrorCode::kInvalidArgument, "ranks issued different collectives: " + rank_text(rank_) + " " + to_text(current_) +
                                                ", " + rank_text(peer) + " " + to_text(other));
  }
}

void Rendezvous::abort(ErrorCode code, std::string_view reason) {
  SegmentHeader& header = segment_->header();
  uint32_t none = 0;
  if (!header.aborted.compare_exchange_strong(none, 1)) return;
  header.aborted_by = rank_;
  header.abort_code = static_cast<int32_t>(code);
  const size_t length = std::min(reason.size(), sizeof(header.abort_reason) - 1);
  std::memcpy(header.abort_reason, reason.data(), length);
  header.abort_reason[length] = '\0';
  header.aborted.store(2);
  for (int peer = 0; peer < size(); ++peer) {
    futex_wake_all(segment_->rank(peer).arrived);
    futex_wake_all(segment_->rank(peer).finished);
  }
}

void Rendezvous::check_aborted() const {
  const SegmentHeader& header = segment_->header();
  if (header.aborted.load(std::memory_order_acquire) != 2) return;
  fail(static_cast<ErrorCode>(header.abort_code), "[" + std::string(name_of(current_.kind)) + "] ended by " +
                                                      rank_text(header.aborted_by) + ": " + header.abort_reason + where());
}

std::string Rendezvous::lost() const {
  const SegmentHeader& header = segment_->header();
  if (header.aborted.load(std::memory_order_acquire) == 2)
    return rank_text(header.aborted_by) + " ended the group: " + header.abort_reason;
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank_) continue;
    if (segment_->rank(peer).left.load() != 0) return rank_text(peer) + " left the group";
    if (!is_alive_(peer)) return rank_text(peer) + " died";
  }
  return "";
}

void Rendezvous::leave() {
  RankState& state = segment_->rank(rank_);
  state.left.store(1);
  futex_wake_all(state.arrived);
  futex_wake_all(state.finished);
}

std::string Rendezvous::where() const {
  std::string text = " (";
  if (current_.step >= 0) text += "step " + std::to_string(current_.step) + ", ";
  text += "collective " + std::to_string(current_.collective);
  if (current_.label[0] != '\0') text += std::string(", bucket '") + current_.label + "'";
  return text + ")";
}

void Rendezvous::fail_group(ErrorCode code, const std::string& what) {
  const std::string message = "[" + std::string(name_of(current_.kind)) + "] " + what + where();
  abort(code, message);
  fail(code, message);
}

}  // namespace tandem
