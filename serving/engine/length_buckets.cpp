#include "serving/engine/length_buckets.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr size_t kMostBuckets = 64;
constexpr std::string_view kForm = "length_buckets is written \"sequence: 16, 32, 64; mask = 0\"";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n"), end = text.find_last_not_of(" \t\n");
  return begin == std::string_view::npos ? "" : text.substr(begin, end - begin + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(trimmed(text.substr(at, end - at)));
    at = end + 1;
  }
  return parts;
}

int64_t number_of(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  require(!text.empty() && error == std::errc() && end == text.data() + text.size(), kForm, text);
  return number;
}

// Around an axis: how many pieces there are, and the bytes that an index along the axis takes in each.
struct Pieces {
  size_t count = 1, index_bytes;
};

Pieces pieces_of(const Shape& shape, int axis, DType dtype) {
  Pieces pieces{1, size_of(dtype)};
  for (int i = 0; i < axis; ++i) pieces.count *= static_cast<size_t>(shape[i]);
  for (int i = axis + 1; i < shape.rank(); ++i) pieces.index_bytes *= static_cast<size_t>(shape[i]);
  return pieces;
}

Shape with_length(Shape shape, int axis, int64_t length) {
  shape.set(axis, length);
  return shape;
}

// The same number in each element.
template <class T>
void fill(Tensor& tensor, T value) {
  std::ranges::fill(tensor.as<T>(), value);
}

void fill_number(Tensor& tensor, int64_t number) {
  switch (tensor.dtype()) {
    case DType::kF16: return fill(tensor, to_f16(static_cast<float>(number)));
    case DType::kBF16: return fill(tensor, to_bf16(static_cast<float>(number)));
    case DType::kU16: return fill(tensor, static_cast<uint16_t>(number));
    case DType::kI16: return fill(tensor, static_cast<int16_t>(number));
    case DType::kU32: return fill(tensor, static_cast<uint32_t>(number));
    case DType::kU64: return fill(tensor, static_cast<uint64_t>(number));
    default: visit_number_or_bool(tensor.dtype(), [&]<class T>() { fill(tensor, static_cast<T>(number)); });
  }
}

Tensor padded(const Tensor& tensor, int axis, int64_t length, int64_t pad) {
  Tensor result(tensor.dtype(), with_length(tensor.shape(), axis, length));
  if (pad != 0) fill_number(result, pad);
  const auto [count, index_bytes] = pieces_of(tensor.shape(), axis, tensor.dtype());
  const size_t from = index_bytes * static_cast<size_t>(tensor.shape()[axis]), to = index_bytes * static_cast<size_t>(length);
  for (size_t i = 0; i < count && from > 0; ++i) std::memcpy(result.view().data + i * to, tensor.view().data + i * from, from);
  return result;
}

Tensor shortened(ConstTensorView view, int axis, int64_t length) {
  if (view.dtype == DType::kString) fail(ErrorCode::kInternal, "an output of text has a padded length");
  Tensor result(view.dtype, with_length(view.shape, axis, length));
  const auto [count, index_bytes] = pieces_of(view.shape, axis, view.dtype);
  const size_t from = index_bytes * static_cast<size_t>(view.shape[axis]), to = index_bytes * static_cast<size_t>(length);
  for (size_t i = 0; i < count && to > 0; ++i) std::memcpy(result.view().data + i * to, view.data + i * from, to);
  return result;
}

}  // namespace

LengthBuckets::LengthBuckets(std::string_view text, const Signature& signature) {
  const std::vector<std::string_view> halves = split(text, ';');
  const size_t colon = halves[0].find(':');
  require(halves.size() <= 2 && colon != std::string_view::npos, kForm, text);
  symbol_ = trimmed(halves[0].substr(0, colon));
  for (const std::string_view length : split(halves[0].substr(colon + 1), ',')) lengths_.push_back(number_of(length));
  std::ranges::sort(lengths_);
  require(lengths_.size() <= kMostBuckets && lengths_[0] >= 1 && std::ranges::adjacent_find(lengths_) == lengths_.end(),
          "length_buckets are at most 64 different lengths from 1", text);
  if (halves.size() == 2 && !halves[1].empty())
    for (const std::string_view pad : split(halves[1], ',')) {
      const size_t equals = std::min(pad.find('='), pad.size());
      const std::string name(trimmed(pad.substr(0, equals)));
      const bool is_there = std::ranges::find(signature.inputs, name, &TensorSpec::name) != signature.inputs.end();
      require(is_there, "length_buckets names an input that is not there", name);
      pads_[name] = number_of(trimmed(pad.substr(std::min(equals + 1, pad.size()))));
    }
  find_places(signature);
}

void LengthBuckets::find_places(const Signature& signature) {
  require(symbol_ != signature.batch_symbol, "length_buckets are for another dimension than the batch", symbol_);
  const auto visit = [&](const std::vector<TensorSpec>& tensors, std::vector<Place>& places) {
    for (size_t i = 0; i < tensors.size(); ++i)
      for (size_t axis = 0; axis < tensors[i].dims.size(); ++axis)
        if (tensors[i].dims[axis].symbol == symbol_ && !symbol_.empty()) {
          require(tensors[i].dtype != DType::kString, "length_buckets cannot pad text", tensors[i].name);
          const auto pad = pads_.find(tensors[i].name);
          places.push_back({i, static_cast<int>(axis), pad == pads_.end() ? 0 : pad->second});
        }
  };
  visit(signature.inputs, inputs_);
  visit(signature.outputs, outputs_);
  require(!inputs_.empty(), "no input has a dimension of the name that length_buckets gives", symbol_);
}

std::optional<int64_t> LengthBuckets::pad(std::vector<Tensor>& inputs) const {
  const int64_t length = inputs[inputs_[0].tensor].shape()[inputs_[0].axis];
  for (const Place& place : inputs_)
    if (inputs[place.tensor].shape()[place.axis] != length) return std::nullopt;
  const auto bucket = std::ranges::lower_bound(lengths_, length);
  if (bucket == lengths_.end() || *bucket == length || length == 0) return std::nullopt;
  for (const Place& place : inputs_) inputs[place.tensor] = padded(inputs[place.tensor], place.axis, *bucket, place.pad);
  return length;
}

std::vector<ConstTensorView> LengthBuckets::cut(std::span<const ConstTensorView> outputs, int64_t length,
                                                std::vector<Tensor>& owner) const {
  std::vector<ConstTensorView> results(outputs.begin(), outputs.end());
  for (const Place& place : outputs_) {
    ConstTensorView& view = results[place.tensor];
    if (view.shape[place.axis] > length) view = owner.emplace_back(shortened(view, place.axis, length)).view();
  }
  return results;
}

}  // namespace tandem
