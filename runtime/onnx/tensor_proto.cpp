#include "runtime/onnx/tensor_proto.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "onnx.pb.h"
#include "runtime/onnx/tensor_files.h"

namespace tandem {
namespace {

using tandem_onnx_proto::TensorProto;

// raw_data and external data are little-endian; so are all machines Tandem runs on.
static_assert(std::endian::native == std::endian::little);

std::string data_type_name(int data_type) {
  const std::string& known = tandem_onnx_proto::TensorProto_DataType_Name(static_cast<TensorProto::DataType>(data_type));
  return known.empty() ? std::to_string(data_type) : known;
}

// Any byte but 0 and 1 in a C++ bool is undefined behaviour.
void normalize_bools(std::span<std::byte> bytes) {
  for (std::byte& b : bytes) b = std::byte{b != std::byte{0}};
}

// Elements of 2 or 4 bits: the first one in the lowest bits of the first byte. In a Tensor each has a byte of its own.
int64_t packed_bytes(DType dtype, int64_t elements) { return (checked_mul(elements, int64_t{bits_of(dtype)}, "bits of a tensor") + 7) / 8; }

Tensor unpack(std::span<const std::byte> packed, DType dtype, const Shape& shape) {
  Tensor tensor(dtype, shape);
  const int bits = bits_of(dtype), in_a_byte = 8 / bits;
  std::byte* to = tensor.view().data;
  for (int64_t i = 0; i < shape.elements(); ++i)
    to[i] = (packed[static_cast<size_t>(i / in_a_byte)] >> static_cast<int>(i % in_a_byte) * bits) & std::byte((1 << bits) - 1);
  return tensor;
}

std::string packed(const Tensor& tensor) {
  const int bits = bits_of(tensor.dtype()), in_a_byte = 8 / bits;
  std::string bytes(static_cast<size_t>(packed_bytes(tensor.dtype(), tensor.elements())), '\0');
  const std::byte* from = tensor.view().data;
  for (int64_t i = 0; i < tensor.elements(); ++i)
    bytes[static_cast<size_t>(i / in_a_byte)] |= static_cast<char>(static_cast<int>(from[i]) << static_cast<int>(i % in_a_byte) * bits);
  return bytes;
}

void require_length(int64_t has, int64_t expected) {
  require(has == expected, "raw data has another length than the dims say (has, expected)", has, expected);
}

// Elements below a byte come as bytes first.
bool is_packed(DType dtype) { return bits_of(dtype) < 8 && dtype != DType::kString; }

Tensor read_raw(const std::string& raw, DType dtype, const Shape& shape) {
  if (is_packed(dtype)) return unpack(std::as_bytes(std::span(raw)), dtype, shape);
  Tensor tensor = Tensor::unfilled(dtype, shape);
  if (!raw.empty()) std::memcpy(tensor.view().data, raw.data(), raw.size());
  return tensor;
}

// Reads `bytes` by `read(dtype, shape)`.
template <class Read>
Tensor read_stored(DType dtype, const Shape& shape, int64_t bytes, const Read& read) {
  if (!is_packed(dtype)) return read(dtype, shape);
  const Tensor content = read(DType::kU8, Shape{bytes});
  return unpack({content.view().data, content.bytes()}, dtype, shape);
}

// `field` holds one entry an element; narrow types ride in a wider field and must fit.
template <class T, class Field>
Tensor read_field(const Field& field, DType dtype, const Shape& shape) {
  require(field.size() == shape.elements(), "data has another number of elements than the dims say (has, expected)", field.size(),
          shape.elements());
  Tensor tensor(dtype, shape);
  T* to = reinterpret_cast<T*>(tensor.view().data);
  for (const auto& element : field) {
    if constexpr (std::integral<T> && !std::same_as<T, bool>)
      require(std::in_range<T>(element), "an element does not fit its type", element, name(dtype));
    *to++ = static_cast<T>(element);
  }
  return tensor;
}

// Each entry is one byte of packed elements.
Tensor read_packed_field(const TensorProto& proto, DType dtype, const Shape& shape) {
  require(proto.int32_data_size() == packed_bytes(dtype, shape.elements()),
          "data has another number of bytes than the dims say (has, expected)", proto.int32_data_size(),
          packed_bytes(dtype, shape.elements()));
  std::vector<std::byte> content;
  for (int32_t entry : proto.int32_data()) {
    require(entry >= -128 && entry <= 255, "an element does not fit its type", entry, name(dtype));
    content.push_back(static_cast<std::byte>(entry));
  }
  return unpack(content, dtype, shape);
}

Tensor read_typed(const TensorProto& proto, DType dtype, const Shape& shape) {
  switch (dtype) {
    case DType::kF32: return read_field<float>(proto.float_data(), dtype, shape);
    case DType::kF64: return read_field<double>(proto.double_data(), dtype, shape);
    case DType::kI64: return read_field<int64_t>(proto.int64_data(), dtype, shape);
    case DType::kU64: return read_field<uint64_t>(proto.uint64_data(), dtype, shape);
    case DType::kU32: return read_field<uint32_t>(proto.uint64_data(), dtype, shape);
    case DType::kI32: return read_field<int32_t>(proto.int32_data(), dtype, shape);
    case DType::kI16: return read_field<int16_t>(proto.int32_data(), dtype, shape);
    case DType::kI8: return read_field<int8_t>(proto.int32_data(), dtype, shape);
    case DType::kU8: return read_field<uint8_t>(proto.int32_data(), dtype, shape);
    case DType::kU16:
    case DType::kF16:
    case DType::kBF16:  // floats of 16 bits ride as their bits
      return read_field<uint16_t>(proto.int32_data(), dtype, shape);
    case DType::kF8E4M3FN:
    case DType::kF8E4M3FNUZ:
    case DType::kF8E5M2:
    case DType::kF8E5M2FNUZ:
    case DType::kF8E8M0: return read_field<uint8_t>(proto.int32_data(), dtype, shape);
    case DType::kU4:
    case DType::kI4:
    case DType::kF4E2M1:
    case DType::kU2:
    case DType::kI2: return read_packed_field(proto, dtype, shape);
    case DType::kBool: return read_field<bool>(proto.int32_data(), dtype, shape);
    case DType::kString: {
      require(proto.string_data_size() == shape.elements(),
              "data has another number of strings than the dims say (has, expected)", proto.string_data_size(), shape.elements());
      return Tensor::strings(shape, std::vector<std::string_view>(proto.string_data().begin(), proto.string_data().end()));
    }
    case DType::kUndefined: break;
  }
  fail(ErrorCode::kInternal, "no storage form for this type", {name(dtype)});
}

Tensor read_bytes(const TensorProto& proto, TensorFiles& files, const FileRange* inside, DType dtype, const Shape& shape) {
  const int64_t stored = packed_bytes(dtype, shape.elements());
  if (inside) {
    require_length(inside->bytes, stored);
    return read_stored(dtype, shape, stored, [&](DType type, const Shape& as) { return files.read_inside(*inside, type, as); });
  }
  if (proto.data_location() == TensorProto::EXTERNAL)
    return read_stored(dtype, shape, stored, [&](DType type, const Shape& as) { return files.read_beside(proto, type, as); });
  require_length(static_cast<int64_t>(proto.raw_data().size()), stored);
  return read_raw(proto.raw_data(), dtype, shape);
}

Tensor read_content(const TensorProto& proto, TensorFiles& files, const Limits& limits, const FileRange* inside) {
  const DType dtype = dtype_of_proto(proto.data_type());
  const Shape shape{std::span<const int64_t>(proto.dims().data(), static_cast<size_t>(proto.dims_size()))};
  const int64_t bytes = checked_mul(shape.elements(), static_cast<int64_t>(size_of(dtype)), "bytes of a tensor");
  require(bytes <= limits.tensor_bytes, "a tensor exceeds the limit (bytes, limit)", bytes, limits.tensor_bytes);
  require(!proto.has_segment() || (proto.segment().begin() == 0 && proto.segment().end() == shape.elements()),
          "only a part of a tensor is here: those in several segments are not supported (begin, end)", proto.segment().begin(),
          proto.segment().end());
  const bool external = proto.data_location() == TensorProto::EXTERNAL, raw = proto.has_raw_data() || inside;
  require(!((external || raw) && dtype == DType::kString), "strings cannot lie in raw or external data");
  if (!external && !raw) return read_typed(proto, dtype, shape);

  const bool typed = proto.float_data_size() || proto.int32_data_size() || proto.int64_data_size() || proto.double_data_size() ||
                     proto.uint64_data_size() || proto.string_data_size();
  require(!typed && !(external && raw), "data is given in more than one form");
  Tensor tensor = read_bytes(proto, files, inside, dtype, shape);
  if (dtype == DType::kBool) normalize_bools({tensor.view().data, tensor.bytes()});
  return tensor;
}

}  // namespace

DType dtype_of_proto(int data_type) {
  const auto dtype = static_cast<DType>(data_type);
  const bool fits = data_type > 0 && data_type <= static_cast<int>(DType::kI2) && size_of(dtype) > 0;
  require(fits, "element type is not supported", data_type_name(data_type));
  return dtype;
}

Tensor read_tensor(const TensorProto& proto, TensorFiles& files, const Limits& limits, const FileRange* inside) {
  try {
    return read_content(proto, files, limits, inside);
  } catch (const Error& error) {
    throw Error(error.code(), "tensor '" + proto.name() + "': " + error.what());
  }
}

void write_tensor(const Tensor& tensor, std::string_view name, TensorProto& proto) {
  proto.set_name(std::string(name));
  proto.set_data_type(static_cast<int>(tensor.dtype()));
  for (int64_t dim : tensor.shape().dims()) proto.add_dims(dim);
  if (tensor.dtype() == DType::kString) {
    for (std::string_view text : tensor.as<std::string_view>()) proto.add_string_data(text.data(), text.size());
  } else if (bits_of(tensor.dtype()) < 8) {
    proto.set_raw_data(packed(tensor));
  } else {
    proto.set_raw_data(tensor.view().data, tensor.bytes());
  }
}

}  // namespace tandem
