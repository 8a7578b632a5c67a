#include "models/data/idx.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/checked.h"
#include "models/data/decompress.h"

namespace tandem {
namespace {

[[noreturn]] void fail_at(std::string_view source, std::string_view what, size_t offset, std::string_view expected) {
  fail(ErrorCode::kInvalidArgument, what, {source, "byte " + std::to_string(offset), expected});
}

DType element_type(uint8_t code, std::string_view source) {
  switch (code) {
    case 0x08: return DType::kU8;
    case 0x09: return DType::kI8;
    case 0x0B: return DType::kI16;
    case 0x0C: return DType::kI32;
    case 0x0D: return DType::kF32;
    case 0x0E: return DType::kF64;
    default:
      fail_at(source, "unknown IDX element type", 2, "found " + std::to_string(code) + ", expected 8, 9, 11, 12, 13 or 14");
  }
}

Shape read_shape(std::string_view bytes, std::string_view source) {
  const int rank = static_cast<uint8_t>(bytes[3]);
  if (rank < 1 || rank > Shape::kMaxRank)
    fail_at(source, "IDX rank is out of range", 3, "found " + std::to_string(rank) + ", expected 1 to 8");
  Shape shape;
  for (int axis = 0; axis < rank; ++axis) {
    const size_t offset = 4 + 4 * static_cast<size_t>(axis);
    if (bytes.size() < offset + 4)
      fail_at(source, "IDX file ends inside its header", bytes.size(), "expected a dimension of 4 bytes");
    uint32_t size = 0;
    for (size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(bytes[offset + i]);
    shape.push_back(size);
  }
  return shape;
}

// Big-endian elements to the machine's order, by reversing the bytes of each one (x86 and Arm are little-endian).
void swap_bytes(std::span<std::byte> data, size_t element) {
  for (size_t i = 0; i < data.size(); i += element)
    std::reverse(data.begin() + static_cast<ptrdiff_t>(i), data.begin() + static_cast<ptrdiff_t>(i + element));
}

}  // namespace

Tensor parse_idx(std::string_view bytes, std::string_view source, const Limits& limits) {
  if (bytes.size() < 4) fail_at(source, "IDX file ends inside its header", bytes.size(), "expected a magic of 4 bytes");
  if (bytes[0] != 0 || bytes[1] != 0) fail_at(source, "not an IDX file", 0, "expected two zero bytes");
  const DType dtype = element_type(static_cast<uint8_t>(bytes[2]), source);
  const Shape shape = read_shape(bytes, source);
  int64_t size = static_cast<int64_t>(size_of(dtype));
  for (int64_t dim : shape.dims()) size = checked_mul(size, dim, "bytes of an IDX file");
  require(size <= limits.tensor_bytes, "IDX array exceeds the limit", source, to_string(shape), "limit in bytes",
          limits.tensor_bytes);

  const size_t header = 4 + 4 * static_cast<size_t>(shape.rank());
  const std::string expected = "expected " + std::to_string(size) + " bytes of elements for shape " + to_string(shape);
  if (bytes.size() - header < static_cast<size_t>(size)) fail_at(source, "IDX file is cut short", bytes.size(), expected);
  if (bytes.size() - header > static_cast<size_t>(size))
    fail_at(source, "IDX file has trailing bytes", header + static_cast<size_t>(size), expected);

  Tensor tensor(dtype, shape);
  const TensorView view = tensor.view();
  if (size > 0) std::memcpy(view.data, bytes.data() + header, static_cast<size_t>(size));
  if (size_of(dtype) > 1) swap_bytes({view.data, view.bytes()}, size_of(dtype));
  return tensor;
}

Tensor read_idx(const std::filesystem::path& path, const Limits& limits) {
  return parse_idx(read_data_file(path, limits.tensor_bytes), path.string(), limits);
}

}  // namespace tandem
