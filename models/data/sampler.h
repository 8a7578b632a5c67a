// The order in which an epoch visits its rows: a keyed permutation, computed for one position at a time.
//
// There is no state but (seed, epoch, position): a resumed run, on any number of ranks, sees the order of an unbroken one. The
// permutation is a balanced Feistel network over the smallest even number of bits that holds n, with Philox as round function,
// walked until it falls below n (fewer than 4 steps on average). Source: Black, Rogaway, "Ciphers with Arbitrary Finite Domains",
// CT-RSA 2002, section 4.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tandem {

class Permutation {
 public:
  // Of 0 .. n-1. Throws InvalidArgument unless 1 <= n < 2^62.
  Permutation(int64_t n, uint64_t seed, uint64_t epoch);
  // REQUIRES: 0 <= position < n.
  int64_t operator()(int64_t position) const;

 private:
  uint64_t encrypt(uint64_t value) const;
  uint64_t n_;
  uint64_t seed_;
  uint64_t epoch_;
  int half_bits_;
};

class Sampler {
 public:
  // Visits `rows` (of a split) in another order each epoch. Throws InvalidArgument if there are none.
  Sampler(std::vector<int64_t> rows, uint64_t seed);

  int64_t size() const { return static_cast<int64_t>(rows_.size()); }
  // The rows at positions first .. first + out.size() - 1 of one epoch. Allocates nothing. REQUIRES: those positions lie in [0,
  // size()).
  void read(uint64_t epoch, int64_t first, std::span<int64_t> out) const;

 private:
  std::vector<int64_t> rows_;
  uint64_t seed_;
};

}  // namespace tandem
