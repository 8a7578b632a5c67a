#include "runtime/onnx/sparse_tensor.h"

#include <algorithm>
#include <string>

#include "onnx.pb.h"
#include "runtime/onnx/tensor_files.h"
#include "runtime/onnx/tensor_proto.h"

namespace tandem {
namespace {

// A dense form of up to 16 MiB is always allowed, one that is larger up to so many times its stored values.
constexpr int64_t kAlwaysAllowed = 16 << 20, kMostGrowth = 4096;

// The place of value `i` in the dense tensor.
int64_t place_of(std::span<const int64_t> indices, int64_t i, int64_t numbers_each, const Shape& shape) {
  int64_t place = 0;
  for (int64_t axis = 0; axis < numbers_each; ++axis) {
    const int64_t size = numbers_each == 1 && shape.rank() != 1 ? shape.elements() : shape[static_cast<int>(axis)];
    const int64_t index = indices[static_cast<size_t>(i * numbers_each + axis)];
    require(index >= 0 && index < size, "an index lies outside (value, index, size)", i, index, size);
    place = place * size + index;
  }
  return place;
}

Tensor dense(const Tensor& values, const Tensor& indices, const Shape& shape, const Limits& limits) {
  const int64_t count = values.elements();
  require(values.shape().rank() == 1 && indices.dtype() == DType::kI64, "values are a vector, indices of type i64", to_string(values.shape()),
          name(indices.dtype()));
  const bool by_axis = indices.shape().rank() == 2;
  const Shape wanted = by_axis ? Shape{count, shape.rank()} : Shape{count};
  require(indices.shape() == wanted, "indices have another shape than the values ask for (has, expected)", to_string(indices.shape()),
          to_string(wanted));
  const int64_t bytes = checked_mul(shape.elements(), static_cast<int64_t>(size_of(values.dtype())), "bytes of a tensor");
  const auto stored = static_cast<int64_t>(values.bytes());
  require(bytes <= limits.tensor_bytes && (bytes <= kAlwaysAllowed || bytes / kMostGrowth <= stored),
          "the dense form is too large (bytes, bytes stored)", bytes, stored);

  Tensor tensor(values.dtype(), shape);
  int64_t last = -1;
  visit_size(values.dtype(), [&]<class T>() {
    const T* from = reinterpret_cast<const T*>(values.view().data);
    T* to = reinterpret_cast<T*>(tensor.view().data);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t place = place_of(indices.as<int64_t>(), i, by_axis ? shape.rank() : 1, shape);
      require(place > last, "indices must rise, none twice (value)", i);
      to[last = place] = from[i];
    }
  });
  return tensor;
}

}  // namespace

Tensor read_sparse_tensor(const tandem_onnx_proto::SparseTensorProto& proto, TensorFiles& files, const Limits& limits) {
  const Tensor values = read_tensor(proto.values(), files, limits), indices = read_tensor(proto.indices(), files, limits);
  try {
    require(values.dtype() != DType::kString, "strings have no sparse form");
    return dense(values, indices, Shape(std::span<const int64_t>(proto.dims().data(), static_cast<size_t>(proto.dims_size()))), limits);
  } catch (const Error& error) {
    throw Error(error.code(), "sparse tensor '" + proto.values().name() + "': " + error.what());
  }
}

}  // namespace tandem
