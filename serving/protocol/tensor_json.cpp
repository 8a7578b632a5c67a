#include "serving/protocol/tensor_json.h"

#include <simdjson.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "serving/protocol/datatype.h"
#include "serving/protocol/infer_request.h"

namespace tandem {
namespace {
namespace dom = simdjson::dom;

// Reads single elements; says what was wrong with which one.
class ElementReader {
 public:
  ElementReader(DType dtype, std::string_view input) : dtype_(dtype), input_(input) {}

  template <class T>
  T read(const dom::element& element, int64_t index) const {
    T value{};
    if constexpr (std::is_same_v<T, std::string_view> || std::is_same_v<T, bool>) {
      if (element.get(value) != simdjson::SUCCESS) reject(index, std::is_same_v<T, bool> ? "true or false" : "a string");
    } else if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, BF16>) {
      const auto number = static_cast<float>(get_number(element, index));
      if constexpr (std::is_same_v<T, F16>)
        value = to_f16(number);
      else
        value = to_bf16(number);
      if (!std::isfinite(to_float(value))) reject(index, "a number in range");
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<T>(get_number(element, index));
      if (!std::isfinite(value)) reject(index, "a number in range");
    } else {
      value = integer<T>(element, index);
    }
    return value;
  }

 private:
  double get_number(const dom::element& element, int64_t index) const {
    double number;
    if (element.get(number) != simdjson::SUCCESS) reject(index, "a number");
    return number;
  }
  template <class T>
  T integer(const dom::element& element, int64_t index) const {
    if (uint64_t number; element.get(number) == simdjson::SUCCESS) {
      if (number > static_cast<uint64_t>(std::numeric_limits<T>::max())) reject(index, "an integer in range");
      return static_cast<T>(number);
    }
    int64_t number;
    if (element.get(number) != simdjson::SUCCESS) reject(index, "an integer");
    if (std::is_unsigned_v<T> || number < static_cast<int64_t>(std::numeric_limits<T>::min()))
      reject(index, "an integer in range");
    return static_cast<T>(number);
  }
  [[noreturn]] void reject(int64_t index, std::string_view wanted) const {
    fail(ErrorCode::kInvalidArgument, "input " + quoted_name(input_) + ": 'data' element " + std::to_string(index) + " is not " +
                                          std::string(wanted) + " (datatype " + std::string(wire_name(dtype_)) + ")");
  }

  DType dtype_;
  std::string_view input_;
};

[[noreturn]] void reject_count(std::string_view input, const Shape& shape) {
  fail(ErrorCode::kInvalidArgument, "input " + quoted_name(input) +
                                        ": Shape does not match true shape of 'data' field: expected " +
                                        std::to_string(shape.elements()) + " elements for shape " + to_string(shape));
}

// Writes the elements of an array that is nested to the shape. Depth is bounded by the shape's rank.
template <class T>
class NestedReader {
 public:
  NestedReader(const ElementReader& reader, const Shape& shape, std::string_view input, std::span<T> out)
      : reader_(reader), shape_(shape), input_(input), out_(out) {}

  void read(const dom::array& array, int axis) {
    int64_t count = 0;
    for (const dom::element element : array) {
      if (++count > shape_[axis]) reject_count(input_, shape_);
      if (axis + 1 == shape_.rank()) {
        out_[static_cast<size_t>(next_)] = reader_.read<T>(element, next_);
        ++next_;
        continue;
      }
      dom::array inner;
      if (element.get(inner) != simdjson::SUCCESS) reject_count(input_, shape_);
      read(inner, axis + 1);
    }
    if (count != shape_[axis]) reject_count(input_, shape_);
  }

 private:
  const ElementReader& reader_;
  const Shape& shape_;
  std::string_view input_;
  std::span<T> out_;
  int64_t next_ = 0;
};

template <class T>
void read_elements(const dom::array& data, const Shape& shape, std::string_view input, DType dtype, std::span<T> out) {
  const ElementReader reader(dtype, input);
  const auto first = data.begin();
  if (shape.rank() > 1 && first != data.end() && (*first).is_array())
    return NestedReader<T>(reader, shape, input, out).read(data, 0);
  int64_t count = 0;
  for (const dom::element element : data) {
    if (count == static_cast<int64_t>(out.size())) reject_count(input, shape);
    out[static_cast<size_t>(count)] = reader.read<T>(element, count);
    ++count;
  }
  if (count != static_cast<int64_t>(out.size())) reject_count(input, shape);
}

template <class F>
decltype(auto) visit_json_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kU16: return f.template operator()<uint16_t>();
    case DType::kI16: return f.template operator()<int16_t>();
    case DType::kU32: return f.template operator()<uint32_t>();
    case DType::kU64: return f.template operator()<uint64_t>();
    case DType::kF16: return f.template operator()<F16>();
    case DType::kBF16: return f.template operator()<BF16>();
    default: return visit_number_or_bool(dtype, static_cast<F&&>(f));
  }
}

Tensor strings_of_binary(std::string_view blob, const Shape& shape, std::string_view input) {
  const int64_t elements = shape.elements();
  const auto reject = [&](std::string_view what) {
    fail(ErrorCode::kInvalidArgument, "unexpected size for input " + quoted_name(input) + ": " + std::string(what),
         {elements, blob.size()});
  };
  if (elements > static_cast<int64_t>(blob.size() / 4)) reject("binary data too short for its BYTES elements (elements, bytes)");
  std::vector<std::string_view> texts;
  texts.reserve(static_cast<size_t>(elements));
  while (static_cast<int64_t>(texts.size()) < elements) {
    uint32_t length;
    if (blob.size() < sizeof length) reject("binary data ends inside a BYTES element (elements, bytes left)");
    std::memcpy(&length, blob.data(), sizeof length);
    blob.remove_prefix(sizeof length);
    if (blob.size() < length) reject("binary data ends inside a BYTES element (elements, bytes left)");
    texts.push_back(blob.substr(0, length));
    blob.remove_prefix(length);
  }
  if (!blob.empty()) reject("binary data goes on after the last BYTES element (elements, bytes left)");
  return Tensor::strings(shape, texts);
}

}  // namespace

Tensor tensor_of_json(const dom::array& data, DType dtype, const Shape& shape, std::string_view input, size_t json_bytes) {
  if (shape.elements() > static_cast<int64_t>(json_bytes)) reject_count(input, shape);
  if (dtype == DType::kString) {
    std::vector<std::string_view> texts(static_cast<size_t>(shape.elements()));
    read_elements<std::string_view>(data, shape, input, dtype, texts);
    return Tensor::strings(shape, texts);
  }
  return visit_json_type(dtype, [&]<class T>() {
    Tensor tensor(dtype, shape);
    read_elements<T>(data, shape, input, dtype, tensor.as<T>());
    return tensor;
  });
}

Tensor tensor_of_binary(std::string_view blob, DType dtype, const Shape& shape, std::string_view input) {
  if (dtype == DType::kString) return strings_of_binary(blob, shape, input);
  const int64_t bytes = checked_mul(shape.elements(), static_cast<int64_t>(size_of(dtype)), "bytes of a tensor");
  require(bytes == static_cast<int64_t>(blob.size()),
          "unexpected size for input " + quoted_name(input) + ": shape " + to_string(shape) + " needs " + std::to_string(bytes) +
              " bytes, binary_data_size is",
          blob.size());
  Tensor tensor(dtype, shape);
  if (bytes > 0) std::memcpy(tensor.view().data, blob.data(), blob.size());
  if (dtype == DType::kBool)
    for (uint8_t byte : tensor.view().raw<uint8_t>())
      require(byte <= 1, "input " + quoted_name(input) + ": a BOOL byte is neither 0 nor 1", byte);
  return tensor;
}

}  // namespace tandem
