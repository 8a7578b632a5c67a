// Equality and hashes of attributes and tensors by content, for finding nodes and constants that are there twice.
#pragma once

#include <cstdint>

#include "runtime/graph/graph.h"

namespace tandem {

// Equal content gives equal hashes. FNV-1a over 8-byte words, of a large tensor over a sample; not for defence against an adversary.
uint64_t content_hash(const Tensor& tensor);
uint64_t content_hash(const Attribute& attribute);

// Same kind and bits: 0.0 and -0.0 differ, a NaN equals itself.
bool identical(const Attribute& a, const Attribute& b);

// `hash` with one more word mixed in.
constexpr uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x100000001b3u;
  return hash ^ (hash >> 29);
}

}  // namespace tandem
