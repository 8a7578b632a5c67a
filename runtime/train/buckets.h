// Flat arenas: which parameter lies where, so that an optimizer step is one kernel and an all-reduce one byte range.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/shape.h"

namespace tandem {

struct ParameterInfo {
  std::string name;
  Shape shape;
};

struct Bucket {
  struct Entry {
    size_t parameter;  // index into the list the buckets were made from
    int64_t offset;    // elements from the start of the bucket
  };
  std::string name;    // "0", "1", ...: stable for a list of parameters and a bucket size
  bool decays = true;  // weight decay applies: matrices and filters, not biases and scales
  std::vector<Entry> entries;
  int64_t elements = 0;
};

// Buckets in the order in which their gradients become ready: parameters from the last to the first, a bucket closed as soon as
// it holds `bucket_bytes` of f32. Parameters of rank <= 1 (no weight decay) have buckets of their own. A pure function of its
// arguments, so that every rank, and a resumed run on another number of ranks, finds the same layout.
std::vector<Bucket> assign_buckets(std::span<const ParameterInfo> parameters, int64_t bucket_bytes);

}  // namespace tandem
