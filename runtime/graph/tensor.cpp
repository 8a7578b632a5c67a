#include "runtime/graph/tensor.h"

#include <cstring>

#include "kernels/base/block.h"

namespace tandem {
namespace {

size_t bytes_of(DType dtype, const Shape& shape) {
  require(dtype != DType::kUndefined, "a tensor needs an element type");
  return static_cast<size_t>(checked_mul(shape.elements(), static_cast<int64_t>(size_of(dtype)), "bytes of a tensor"));
}

template <class String>
Tensor strings_of(const Shape& shape, std::span<const String> values) {
  require(static_cast<int64_t>(values.size()) == shape.elements(), "number of values does not match the shape", values.size(),
          to_string(shape));
  std::vector<std::string_view> views(values.begin(), values.end());
  return Tensor::copy_of({reinterpret_cast<const std::byte*>(views.data()), DType::kString, shape});
}

}  // namespace

Tensor::Tensor(DType dtype, const Shape& shape) : dtype_(dtype), shape_(shape), data_(make_zero_block(bytes_of(dtype, shape))) {}

Tensor Tensor::over(std::shared_ptr<std::byte[]> memory, DType dtype, const Shape& shape) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  tensor.data_ = std::move(memory);
  return tensor;
}

Tensor Tensor::unfilled(DType dtype, const Shape& shape) { return over(make_lasting_block(bytes_of(dtype, shape)), dtype, shape); }

Tensor Tensor::strings(const Shape& shape, std::span<const std::string_view> values) { return strings_of(shape, values); }
Tensor Tensor::strings(const Shape& shape, std::span<const std::string> values) { return strings_of(shape, values); }

Tensor Tensor::copy_of(ConstTensorView view) {
  if (view.dtype != DType::kString) {
    Tensor copy = over(make_block(view.bytes()), view.dtype, view.shape);
    if (view.bytes()) std::memcpy(copy.data_.get(), view.data, view.bytes());
    return copy;
  }
  Tensor copy(view.dtype, view.shape);
  const auto from = view.as<std::string_view>();
  size_t characters = 0;
  for (std::string_view s : from) characters += s.size();
  auto text = std::make_shared<std::string>();
  text->reserve(characters);
  auto to = copy.as<std::string_view>();
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t start = text->size();
    text->append(from[i]);
    to[i] = std::string_view(text->data() + start, from[i].size());
  }
  copy.text_ = std::move(text);
  return copy;
}

Tensor Tensor::borrow(ConstTensorView view) {
  static std::byte nothing;
  Tensor tensor;
  tensor.dtype_ = view.dtype;
  tensor.shape_ = view.shape;
  auto* memory = view.data ? const_cast<std::byte*>(view.data) : &nothing;  // a tensor without elements may have no address
  tensor.data_ = std::shared_ptr<std::byte[]>(std::shared_ptr<void>(), memory);
  return tensor;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  require(shape.elements() == elements(), "reshape changes the number of elements", to_string(shape_), to_string(shape));
  Tensor other = *this;
  other.shape_ = shape;
  return other;
}

bool identical(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  if (a.dtype() == DType::kString) return std::ranges::equal(a.as<std::string_view>(), b.as<std::string_view>());
  return a.bytes() == 0 || std::memcmp(a.view().data, b.view().data, a.bytes()) == 0;
}

}  // namespace tandem
