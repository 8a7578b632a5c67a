// Runs of elements from one type to another, as kernels/api/convert.h defines it: what casts, quantization and its inverse share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/base/dtype.h"
#include "kernels/base/narrow_convert.h"

namespace tandem::cpu {

// Any type but strings. Made once for a pair of types; allocates nothing and may be used by many threads.
class ElementConverter {
 public:
  ElementConverter(DType from, DType to, NarrowRules rules = {});

  // `n` elements; `in` and `out` do not overlap.
  void operator()(const std::byte* in, std::byte* out, int64_t n) const;

 private:
  using Loop = void (*)(const std::byte* in, std::byte* out, int64_t n, NarrowRules rules);
  void add(Loop loop) { loops_[static_cast<size_t>(count_++)] = loop; }
  DType add_decoder(DType from);
  void add_common(DType from, DType to);
  void add_encoder(DType from, DType to);

  std::array<Loop, 3> loops_ = {};  // one after the other
  int count_ = 0;                   // 0: the types are equal
  size_t from_size_, to_size_;
  NarrowRules rules_;
};

}  // namespace tandem::cpu
