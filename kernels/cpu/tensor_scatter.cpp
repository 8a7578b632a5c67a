#include "kernels/api/tensor_scatter.h"

#include <cstring>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

void tensor_scatter(const KernelContext& context, ConstTensorView cache, ConstTensorView update, ConstTensorView positions,
                    int axis, bool circular, TensorView y) {
  const int64_t batch = cache.shape[0], prefixes = cache.shape.product(0, axis), length = cache.shape[axis],
                rows = update.shape[axis];
  const auto row = static_cast<size_t>(cache.shape.product(axis + 1, cache.shape.rank())) * size_of(cache.dtype);
  require(!positions || positions.elements() == batch, "[TensorScatter] write_indices needs one number a batch",
          to_string(positions.shape));
  const auto position = [&](int64_t b) { return positions ? positions.as<int64_t>()[static_cast<size_t>(b)] : 0; };
  for (int64_t b = 0; b < batch; ++b)
    require(position(b) >= 0 && rows <= length && (circular || position(b) <= length - rows),
            "[TensorScatter] the update leaves the cache (position, rows, length)", position(b), rows, length);
  if (y.bytes() == 0) return;
  if (y.data != cache.data) std::memcpy(y.data, cache.data, y.bytes());
  const int64_t prefixes_a_batch = prefixes / batch;
  parallel_chunks(context, prefixes, grain_of(rows * static_cast<int64_t>(row)), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t first = position(p / prefixes_a_batch), at = circular ? (first % length + r) % length : first + r;
        std::memcpy(y.data + static_cast<size_t>(p * length + at) * row, update.data + static_cast<size_t>(p * rows + r) * row,
                    row);
      }
  });
}

}  // namespace tandem::cpu
