#include "models/data/sampler.h"

#include <bit>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"

namespace tandem {
namespace {

// Four rounds make a strong pseudorandom permutation (Luby, Rackoff 1988) for large halves; halves of a few bits need more.
constexpr uint64_t kRounds = 8;

}  // namespace

Permutation::Permutation(int64_t n, uint64_t seed, uint64_t epoch) : n_(static_cast<uint64_t>(n)), seed_(seed), epoch_(epoch) {
  require(n >= 1 && n < int64_t{1} << 62, "a permutation needs 1 to 2^62 elements", n);
  half_bits_ = (std::bit_width(n_ - 1) + 1) / 2;
}

int64_t Permutation::operator()(int64_t position) const {
  uint64_t value = static_cast<uint64_t>(position);
  do value = encrypt(value);
  while (value >= n_);
  return static_cast<int64_t>(value);
}

uint64_t Permutation::encrypt(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (uint64_t round = 0; round < kRounds; ++round) {
    // The half has at most 31 bits: it shares a counter word with the round.
    const uint64_t mixed = philox(seed_, right | round << 32, epoch_)[0] & mask;
    const uint64_t next = left ^ mixed;
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

Sampler::Sampler(std::vector<int64_t> rows, uint64_t seed) : rows_(std::move(rows)), seed_(seed) {
  require(!rows_.empty(), "there are no rows to sample");
}

void Sampler::read(uint64_t epoch, int64_t first, std::span<int64_t> out) const {
  const Permutation order(size(), seed_, epoch);
  for (size_t i = 0; i < out.size(); ++i) out[i] = rows_[static_cast<size_t>(order(first + static_cast<int64_t>(i)))];
}

}  // namespace tandem
