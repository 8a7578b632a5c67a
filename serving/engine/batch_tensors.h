// Rows of several requests in one tensor, and the other way round.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/base/tensor_view.h"

namespace tandem {

// Memory of a lane for the inputs of its batches; grows to the largest and stays.
class BatchBuffer {
 public:
  // The parts one after the other along the first axis, in memory that stands until the next call for the same `slot`. They have
  // one type and the same other axes. Strings are not copied, only where they are.
  ConstTensorView joined(size_t slot, std::span<const ConstTensorView> parts);

 private:
  std::vector<std::vector<std::byte>> slots_;
};

// Rows [first, first + count) of a tensor.
ConstTensorView rows_of(ConstTensorView tensor, int64_t first, int64_t count);

}  // namespace tandem
