// The memory that the ranks of one node share: their states, and two slots of data for each rank, used in alternate rounds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/io/file_descriptor.h"

namespace tandem {

inline constexpr int kMaxRanks = 64;
inline constexpr size_t kSlotBytes = size_t{256} << 10;  // two ranks' slots of a round stay in a core's L2 cache

enum class CollectiveKind : uint32_t { kAllReduce, kBroadcast, kAllGather, kBarrier };

// What a rank is doing; ranks compare it, so that one that went another way is named instead of spoiling data.
struct Announcement {
  CollectiveKind kind = CollectiveKind::kBarrier;
  int32_t root = 0;
  int64_t bytes = 0;
  int64_t step = -1;       // not compared: for messages, as are the two below
  int64_t collective = 0;  // counted within the step
  char label[48] = {};     // ends with a zero
};

// Counters of rounds only grow (modulo 2^32), and each is written by its own rank alone. They are futex words.
struct alignas(64) RankState {
  std::atomic<uint32_t> arrived;   // the last round in which this rank's slot was filled
  std::atomic<uint32_t> finished;  // the last round in which it formed its share of the result
  std::atomic<uint32_t> sleepers;  // ranks asleep on one of the two
  std::atomic<uint32_t> left;      // 1 once its communicator was destroyed
  std::atomic<int32_t> pid;        // 0: not known, or threads of one process
  Announcement announced[2];
};

struct SegmentHeader {
  uint64_t magic;
  int64_t size;
  std::atomic<uint32_t> aborted;  // 0: no; 1: reason being written; 2: reason is there
  int32_t aborted_by;
  int32_t abort_code;
  char abort_reason[1024];
  RankState ranks[kMaxRanks];
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);

// A mapping of that memory; all zero when made.
class Segment {
 public:
  // Memory of this process, for ranks that are threads.
  static std::shared_ptr<Segment> make_private(int size);
  // Memory without a name, given to other processes by descriptor (which is close-on-exec): nothing stays behind when they end.
  static FileDescriptor make_shared(int size);
  // Maps what make_shared gave. Throws InvalidArgument if the descriptor is of something else.
  static std::shared_ptr<Segment> map(int descriptor);

  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment();

  int size() const { return size_; }
  SegmentHeader& header() { return *header_; }
  RankState& rank(int rank) { return header_->ranks[rank]; }
  std::byte* slot(int rank, uint32_t round) { return slots_ + (static_cast<size_t>(rank) * 2 + round % 2) * kSlotBytes; }

 private:
  Segment(void* memory, size_t bytes, int size);

  SegmentHeader* header_;
  std::byte* slots_;
  size_t bytes_;
  int size_;  // kept here: another process could change the shared one
};

}  // namespace tandem
