// An owning dense tensor: model constants, run inputs and outputs, checkpoints. Kernels see only its views.
//
// A Tensor is a handle: copies share the storage, clone() does not. Threads may read shared storage; whoever writes
// must be its only user.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/tensor_view.h"

namespace tandem {

class Tensor {
 public:
  Tensor() = default;
  // Zero-filled (empty strings for kString), 64-byte aligned. Throws OutOfMemory naming the bytes.
  Tensor(DType dtype, const Shape& shape);

  // `values` in row-major order. Throws InvalidArgument if their number is not shape.elements().
  template <class T>
  static Tensor of(const Shape& shape, std::span<const T> values);
  template <class T>
  static Tensor of(const Shape& shape, std::initializer_list<T> values) {
    return of<T>(shape, std::span<const T>(values.begin(), values.size()));
  }
  template <class T>
  static Tensor of(const Shape& shape, const std::vector<T>& values) {
    return of<T>(shape, std::span<const T>(values));
  }
  template <class T>
  static Tensor scalar(T value) {
    return of<T>({}, {value});
  }
  // Copies the text of every element into the tensor's own storage.
  static Tensor strings(const Shape& shape, std::span<const std::string_view> values);
  static Tensor strings(const Shape& shape, std::span<const std::string> values);

  // A deep copy of what the view shows, text included.
  static Tensor copy_of(ConstTensorView view);
  Tensor clone() const { return copy_of(view()); }
  // Numbers still to be written, all of them: spares the zeros. Not for strings.
  static Tensor unfilled(DType dtype, const Shape& shape);
  // Numbers that lie in `memory`, aligned to their size: a part of a mapped file. It lives as long as a handle on it.
  static Tensor over(std::shared_ptr<std::byte[]> memory, DType dtype, const Shape& shape);
  // A handle on memory that somebody else owns and that must outlive it.
  static Tensor borrow(ConstTensorView view);
  bool is_borrowed() const { return data_.get() != nullptr && data_.use_count() == 0; }
  // The same storage under another shape of as many elements.
  Tensor reshaped(const Shape& shape) const;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t elements() const { return shape_.elements(); }
  size_t bytes() const { return static_cast<size_t>(shape_.elements()) * size_of(dtype_); }
  explicit operator bool() const { return dtype_ != DType::kUndefined; }

  TensorView view() { return {data_.get(), dtype_, shape_}; }
  ConstTensorView view() const { return {data_.get(), dtype_, shape_}; }
  template <class T>
  std::span<T> as() {
    return view().as<T>();
  }
  template <class T>
  std::span<const T> as() const {
    return view().as<T>();
  }

 private:
  DType dtype_ = DType::kUndefined;
  Shape shape_;
  std::shared_ptr<std::byte[]> data_;
  std::shared_ptr<const std::string> text_;  // what the string_views of a kString tensor point into
};

// Same dtype, shape and bytes (text for strings). NaNs with equal bits are equal.
bool identical(const Tensor& a, const Tensor& b);

template <class T>
Tensor Tensor::of(const Shape& shape, std::span<const T> values) {
  static_assert(dtype_of<T> != DType::kUndefined && dtype_of<T> != DType::kString);
  require(static_cast<int64_t>(values.size()) == shape.elements(), "number of values does not match the shape", values.size(),
          to_string(shape));
  Tensor tensor(dtype_of<T>, shape);
  std::copy(values.begin(), values.end(), tensor.as<T>().begin());
  return tensor;
}
// vector<bool> has no span.
template <>
inline Tensor Tensor::of<bool>(const Shape& shape, const std::vector<bool>& values) {
  require(static_cast<int64_t>(values.size()) == shape.elements(), "number of values does not match the shape", values.size(),
          to_string(shape));
  Tensor tensor(DType::kBool, shape);
  std::copy(values.begin(), values.end(), tensor.as<bool>().begin());
  return tensor;
}

}  // namespace tandem
