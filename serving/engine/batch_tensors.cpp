#include "serving/engine/batch_tensors.h"

#include <cstring>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr size_t kAlignment = 64;  // as that of tensors

Shape with_rows(const Shape& shape, int64_t rows) {
  Shape result = shape;
  result.set(0, rows);
  return result;
}

}  // namespace

ConstTensorView BatchBuffer::joined(size_t slot, std::span<const ConstTensorView> parts) {
  if (slots_.size() <= slot) slots_.resize(slot + 1);
  size_t bytes = 0;
  int64_t rows = 0;
  for (const ConstTensorView& part : parts) {
    ensure(part.dtype == parts[0].dtype && with_rows(part.shape, 0) == with_rows(parts[0].shape, 0),
           "requests of different shapes in one batch", to_string(part.shape), to_string(parts[0].shape));
    bytes += part.bytes();
    rows += part.shape[0];
  }
  std::vector<std::byte>& memory = slots_[slot];
  if (memory.size() < bytes + kAlignment) memory.resize(bytes + kAlignment);
  const size_t misaligned = reinterpret_cast<uintptr_t>(memory.data()) % kAlignment;
  std::byte* const begin = memory.data() + (misaligned ? kAlignment - misaligned : 0);
  std::byte* to = begin;
  for (const ConstTensorView& part : parts) {
    if (part.bytes() > 0) std::memcpy(to, part.data, part.bytes());
    to += part.bytes();
  }
  return {begin, parts[0].dtype, with_rows(parts[0].shape, rows)};
}

ConstTensorView rows_of(ConstTensorView tensor, int64_t first, int64_t count) {
  const Shape part = with_rows(tensor.shape, count);
  const size_t row_bytes = tensor.shape[0] == 0 ? 0 : tensor.bytes() / static_cast<size_t>(tensor.shape[0]);
  return {tensor.data + static_cast<size_t>(first) * row_bytes, tensor.dtype, part};
}

}  // namespace tandem
