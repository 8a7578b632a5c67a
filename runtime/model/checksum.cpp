#include "runtime/model/checksum.h"

#include <bit>
#include <cstring>

namespace tandem {
namespace {

constexpr size_t kLanes = 8, kStripe = kLanes * sizeof(uint64_t);
constexpr uint64_t kPrime = 0x9e3779b97f4a7c15u;  // 2^64 over the golden ratio, odd

// For a fixed hash a bijection of the word, so that one word that changed always shows.
constexpr uint64_t fold(uint64_t hash, uint64_t word) { return std::rotl((hash ^ word) * kPrime, 29); }

}  // namespace

uint64_t checksum(std::span<const std::byte> bytes) {
  uint64_t lanes[kLanes] = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto add = [&](const std::byte* stripe) {
    uint64_t words[kLanes];
    std::memcpy(words, stripe, kStripe);
    for (size_t i = 0; i < kLanes; ++i) lanes[i] = fold(lanes[i], words[i]);
  };
  const size_t size = bytes.size();
  for (; bytes.size() >= kStripe; bytes = bytes.subspan(kStripe)) add(bytes.data());
  std::byte rest[kStripe] = {};
  if (!bytes.empty()) std::memcpy(rest, bytes.data(), bytes.size());
  add(rest);
  uint64_t hash = size;
  for (uint64_t lane : lanes) hash = fold(hash, lane);
  return hash ^ (hash >> 32);
}

}  // namespace tandem
