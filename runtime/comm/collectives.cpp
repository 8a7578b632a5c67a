#include "runtime/comm/collectives.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/checked.h"

namespace tandem {
namespace {

constexpr size_t kChunk = kSlotBytes / sizeof(float);
constexpr size_t kTile = 512;  // floats summed at a time, in the L1 cache
// Up to here every rank sums everything for itself: a second wait costs more than the additions.
constexpr size_t kSmall = 2048;

float* floats(Rendezvous& rendezvous, int rank) { return reinterpret_cast<float*>(rendezvous.slot(rank)); }

// A constant count lets the compiler vectorize without -O3.
void add_tile(float* __restrict sum, const float* __restrict values) {
  for (size_t i = 0; i < kTile; ++i) sum[i] += values[i];
}

// out[i] = ((r0 + r1) + r2) + ... over the slots at [first, last). `out` may be this rank's slot at `first`.
void sum_slots(Rendezvous& rendezvous, size_t first, size_t last, float* out) {
  alignas(64) float sum[kTile];
  for (size_t at = first; at < last; at += kTile) {
    const size_t count = std::min(kTile, last - at);
    std::memcpy(sum, floats(rendezvous, 0) + at, count * sizeof(float));
    for (int rank = 1; rank < rendezvous.size(); ++rank) {
      const float* values = floats(rendezvous, rank) + at;
      if (count == kTile)
        add_tile(sum, values);
      else
        for (size_t i = 0; i < count; ++i) sum[i] += values[i];
    }
    std::memcpy(out + (at - first), sum, count * sizeof(float));
  }
}

// Where the share of `rank` of `count` floats begins; whole cache lines, so that no two ranks write to one.
size_t share_begin(size_t count, int rank, int ranks) {
  const size_t per_rank = static_cast<size_t>(round_up(ceil_div(static_cast<int64_t>(count), ranks), 16));
  return std::min(count, per_rank * static_cast<size_t>(rank));
}

void reduce_chunk(Rendezvous& rendezvous, std::span<float> values) {
  const int rank = rendezvous.rank(), ranks = rendezvous.size();
  const auto begin_of = [&](int r) { return share_begin(values.size(), r, ranks); };
  if (!values.empty()) std::memcpy(rendezvous.slot(rank), values.data(), values.size_bytes());
  rendezvous.arrive();
  if (ranks == 2 || values.size() <= kSmall) return sum_slots(rendezvous, 0, values.size(), values.data());

  sum_slots(rendezvous, begin_of(rank), begin_of(rank + 1), floats(rendezvous, rank) + begin_of(rank));
  rendezvous.finish();
  for (int i = 0; i < ranks; ++i) {
    const int peer = (rank + i) % ranks;  // each begins elsewhere, so that they do not crowd one slot
    const size_t first = begin_of(peer), last = begin_of(peer + 1);
    if (last > first) std::memcpy(values.data() + first, floats(rendezvous, peer) + first, (last - first) * sizeof(float));
  }
}

// Calls body(first, last) for the pieces of `count` that fit a slot, each in its round; once for count 0, since a collective
// without a round would meet nobody.
template <class Body>
void in_rounds(Rendezvous& rendezvous, size_t count, size_t per_round, Body body) {
  for (size_t first = 0;;) {
    const size_t last = std::min(count, first + per_round);
    body(first, last);
    first = last;
    if (first == count) return;
    rendezvous.next_round();
  }
}

}  // namespace

void run_all_reduce(Rendezvous& rendezvous, std::span<float> values) {
  in_rounds(rendezvous, values.size(), kChunk,
            [&](size_t first, size_t last) { reduce_chunk(rendezvous, values.subspan(first, last - first)); });
}

void run_broadcast(Rendezvous& rendezvous, std::span<std::byte> bytes, int root) {
  const bool sends = rendezvous.rank() == root;
  in_rounds(rendezvous, bytes.size(), kSlotBytes, [&](size_t first, size_t last) {
    if (sends && last > first) std::memcpy(rendezvous.slot(root), bytes.data() + first, last - first);
    rendezvous.arrive();
    if (!sends && last > first) std::memcpy(bytes.data() + first, rendezvous.slot(root), last - first);
  });
}

void run_all_gather(Rendezvous& rendezvous, std::string_view blob, std::vector<std::string>& blobs) {
  const size_t ranks = static_cast<size_t>(rendezvous.size());
  const uint64_t own_size = blob.size();
  std::memcpy(rendezvous.slot(rendezvous.rank()), &own_size, sizeof(own_size));
  rendezvous.arrive();
  blobs.assign(ranks, {});
  size_t longest = 0;
  for (size_t rank = 0; rank < ranks; ++rank) {
    uint64_t size = 0;
    std::memcpy(&size, rendezvous.slot(static_cast<int>(rank)), sizeof(size));
    blobs[rank].resize(size);
    longest = std::max<size_t>(longest, size);
  }
  if (longest == 0) return;
  rendezvous.next_round();
  in_rounds(rendezvous, longest, kSlotBytes, [&](size_t first, size_t last) {
    if (blob.size() > first)
      std::memcpy(rendezvous.slot(rendezvous.rank()), blob.data() + first, std::min(last, blob.size()) - first);
    rendezvous.arrive();
    for (size_t rank = 0; rank < ranks; ++rank) {
      const size_t end = std::min(last, blobs[rank].size());
      if (end > first) std::memcpy(blobs[rank].data() + first, rendezvous.slot(static_cast<int>(rank)), end - first);
    }
  });
}

void run_barrier(Rendezvous& rendezvous) { rendezvous.arrive(); }

}  // namespace tandem
