#include "serving/protocol/tensor_json.h"

#include <simdjson.h>

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/base/block.h"
#include "serving/protocol/datatype.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/json_numbers.h"

namespace tandem {
namespace {
namespace dom = simdjson::dom;

[[noreturn]] void reject_count(std::string_view input, const Shape& shape) {
  fail(ErrorCode::kInvalidArgument, "input " + quoted_name(input) +
                                        ": Shape does not match true shape of 'data' field: expected " +
                                        std::to_string(shape.elements()) + " elements for shape " + to_string(shape));
}

[[noreturn]] void reject_element(std::string_view input, size_t index, std::string_view wanted, DType dtype) {
  fail(ErrorCode::kInvalidArgument, "input " + quoted_name(input) + ": 'data' element " + std::to_string(index) + " is not " +
                                        std::string(wanted) + " (datatype " + std::string(wire_name(dtype)) + ")");
}

dom::array parse_array(std::string_view data, dom::parser& parser) {
  dom::array array;
  const auto error = parser.parse(data.data(), data.size()).get(array);
  if (error != simdjson::SUCCESS) fail(ErrorCode::kInvalidArgument, "failed to parse the request JSON: " + std::string(simdjson::error_message(error)));
  return array;
}

// What is read, and what it is called in errors.
struct Wanted {
  DType dtype;
  const Shape& shape;
  std::string_view input;
};

// Texts and booleans of an array that is flat or nested to the shape, parsed. Depth is bounded by the shape's rank.
template <class T>
class ElementReader {
 public:
  ElementReader(const Wanted& wanted, std::span<T> out) : wanted_(wanted), out_(out) {}

  void read(const dom::array& data) {
    const auto first = data.begin();
    if (wanted_.shape.rank() > 1 && first != data.end() && (*first).is_array())
      read_nested(data, 0);
    else
      read_row(data, out_.size());
  }

 private:
  void read_nested(const dom::array& array, int axis) {
    if (axis + 1 == wanted_.shape.rank()) return read_row(array, static_cast<size_t>(wanted_.shape[axis]));
    int64_t count = 0;
    for (const dom::element element : array) {
      dom::array inner;
      if (++count > wanted_.shape[axis] || element.get(inner) != simdjson::SUCCESS) reject_count(wanted_.input, wanted_.shape);
      read_nested(inner, axis + 1);
    }
    if (count != wanted_.shape[axis]) reject_count(wanted_.input, wanted_.shape);
  }

  void read_row(const dom::array& array, size_t elements) {
    size_t count = 0;
    for (const dom::element element : array) {
      if (++count > elements) reject_count(wanted_.input, wanted_.shape);
      if (element.get(out_[next_]) != simdjson::SUCCESS)
        reject_element(wanted_.input, next_, std::is_same_v<T, bool> ? "true or false" : "a string", wanted_.dtype);
      ++next_;
    }
    if (count != elements) reject_count(wanted_.input, wanted_.shape);
  }

  const Wanted& wanted_;
  std::span<T> out_;
  size_t next_ = 0;
};

// Numbers of such an array, from its text.
template <class T>
class NumberReader {
 public:
  NumberReader(std::string_view data, const Wanted& wanted, std::span<T> out, dom::parser& parser)
      : data_(data), wanted_(wanted), out_(out), parser_(parser), at_(data.data()), end_(at_ + data.size()) {}

  void read() {
    const size_t first = data_.find_first_not_of(kSpace, 1);
    if (wanted_.shape.rank() > 1 && data_[first] == '[')
      read_nested(0);
    else
      read_row(out_.size());
  }

 private:
  static constexpr std::string_view kSpace = " \t\r\n";

  void read_nested(int axis) {
    const int64_t size = wanted_.shape[axis];
    if (axis + 1 == wanted_.shape.rank()) return read_row(static_cast<size_t>(size));
    ++at_;  // the bracket
    for (int64_t i = 0; i < size; ++i) {
      if (i > 0) expect(',');
      skip_space();
      if (*at_ != '[') refuse(ArrayFault::kCount);
      read_nested(axis + 1);
    }
    expect(']');
  }

  void read_row(size_t elements) {
    ++at_;
    const ArrayRead read = read_json_numbers(at_, end_, out_.subspan(next_, elements));
    next_ += read.elements;
    if (read.fault != ArrayFault::kNone) refuse(read.fault);
  }

  void skip_space() {
    while (kSpace.find(*at_) != kSpace.npos) ++at_;
  }
  void expect(char c) {
    skip_space();
    if (*at_++ != c) refuse(ArrayFault::kCount);
  }

  [[noreturn]] void refuse(ArrayFault fault) const {
    const std::string kind = std::is_integral_v<T> ? "an integer" : "a number";
    if (fault == ArrayFault::kOutOfRange) reject_element(wanted_.input, next_, kind + " in range", wanted_.dtype);
    parse_array(data_, parser_);  // it may be no JSON
    if (fault == ArrayFault::kNotNumber) reject_element(wanted_.input, next_, kind, wanted_.dtype);
    reject_count(wanted_.input, wanted_.shape);
  }

  std::string_view data_;
  const Wanted& wanted_;
  std::span<T> out_;
  dom::parser& parser_;
  const char *at_, *end_;
  size_t next_ = 0;
};

template <class F>
decltype(auto) visit_json_number(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kU16: return f.template operator()<uint16_t>();
    case DType::kI16: return f.template operator()<int16_t>();
    case DType::kU32: return f.template operator()<uint32_t>();
    case DType::kU64: return f.template operator()<uint64_t>();
    case DType::kF16: return f.template operator()<F16>();
    case DType::kBF16: return f.template operator()<BF16>();
    default: return visit_number(dtype, static_cast<F&&>(f));
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

Tensor tensor_of_json(std::string_view data, DType dtype, const Shape& shape, std::string_view input, dom::parser& parser) {
  if (shape.elements() > static_cast<int64_t>(data.size())) reject_count(input, shape);
  const Wanted wanted{dtype, shape, input};
  if (dtype == DType::kString) {
    std::vector<std::string_view> texts(static_cast<size_t>(shape.elements()));
    ElementReader<std::string_view>(wanted, texts).read(parse_array(data, parser));
    return Tensor::strings(shape, texts);
  }
  Tensor tensor = Tensor::over(make_block(static_cast<size_t>(shape.elements()) * size_of(dtype)), dtype, shape);
  if (dtype == DType::kBool)
    ElementReader<bool>(wanted, tensor.as<bool>()).read(parse_array(data, parser));
  else
    visit_json_number(dtype, [&]<class T>() { NumberReader<T>(data, wanted, tensor.as<T>(), parser).read(); });
  return tensor;
}

Tensor tensor_of_binary(std::string_view blob, DType dtype, const Shape& shape, std::string_view input, const std::shared_ptr<std::byte[]>& owner) {
  if (dtype == DType::kString) return strings_of_binary(blob, shape, input);
  const int64_t bytes = checked_mul(shape.elements(), static_cast<int64_t>(size_of(dtype)), "bytes of a tensor");
  require(bytes == static_cast<int64_t>(blob.size()),
          "unexpected size for input " + quoted_name(input) + ": shape " + to_string(shape) + " needs " + std::to_string(bytes) +
              " bytes, binary_data_size is",
          blob.size());
  if (owner && bytes > 0 && dtype != DType::kBool && reinterpret_cast<uintptr_t>(blob.data()) % size_of(dtype) == 0)
    return Tensor::over(std::shared_ptr<std::byte[]>(owner, reinterpret_cast<std::byte*>(const_cast<char*>(blob.data()))), dtype, shape);
  Tensor tensor = Tensor::over(make_block(blob.size()), dtype, shape);
  if (bytes > 0) std::memcpy(tensor.view().data, blob.data(), blob.size());
  if (dtype == DType::kBool)
    for (uint8_t byte : tensor.view().raw<uint8_t>())
      require(byte <= 1, "input " + quoted_name(input) + ": a BOOL byte is neither 0 nor 1", byte);
  return tensor;
}

}  // namespace tandem
