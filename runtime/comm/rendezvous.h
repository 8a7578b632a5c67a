// How the ranks of a segment meet: in rounds, each of one or two phases, with a deadline on every wait.
//
// In a round every rank fills its slot and arrives; once all have arrived it may read all slots, and, in rounds of two phases,
// writes its share of the result into its own slot and finishes; once all have finished it reads their shares. A slot is written
// again two rounds later: by then its rank has seen all others arrive in the round between, hence done with reading. So there is
// no third wait.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "kernels/base/error.h"
#include "runtime/comm/segment.h"

namespace tandem {

// Used by one thread at a time, but for abort.
class Rendezvous {
 public:
  // `is_alive(rank)` is asked about ranks that keep us waiting.
  Rendezvous(std::shared_ptr<Segment> segment, int rank, std::chrono::milliseconds deadline, std::function<bool(int)> is_alive);

  int rank() const { return rank_; }
  int size() const { return segment_->size(); }
  std::chrono::milliseconds deadline() const { return deadline_; }

  // Starts a collective and its first round.
  void begin(const Announcement& what);
  // This round's slot of a rank, kSlotBytes long.
  std::byte* slot(int rank) { return segment_->slot(rank, round_); }
  // Publishes this rank's slot and waits for the slots of all.
  void arrive();
  // Publishes this rank's share and waits for the shares of all.
  void finish();
  void next_round() { ++round_; }

  // The first reason given by any rank stands. Throws nothing.
  void abort(ErrorCode code, std::string_view reason);
  // Why the group is lost: a rank ended it, left or died; "" as far as is known. Of use between collectives.
  std::string lost() const;
  // Tells the others that this rank takes part no more.
  void leave();

 private:
  using Counter = std::atomic<uint32_t> RankState::*;
  void publish(Counter counter);
  void await_all(Counter counter, std::string_view verb);
  void await(int peer, Counter counter, std::string_view verb);
  bool reached(int peer, Counter counter) const;
  void check_peers(Counter counter);
  void compare_announcements();
  void check_aborted() const;
  [[noreturn]] void fail_group(ErrorCode code, const std::string& what);
  std::string where() const;

  std::shared_ptr<Segment> segment_;
  int rank_;
  std::chrono::milliseconds deadline_;
  std::function<bool(int)> is_alive_;
  int spins_;
  uint32_t round_ = 0;
  bool first_round_ = false;
  Announcement current_;
};

}  // namespace tandem
