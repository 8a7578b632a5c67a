#include "runtime/ops/body.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tandem {
namespace {

// A tensor as [before][extent of the axis][bytes after].
struct Blocks {
  size_t before = 1, extent = 1, bytes = 1;
  Blocks(const Shape& shape, int axis, size_t element) {
    for (int i = 0; i < axis; ++i) before *= static_cast<size_t>(shape[i]);
    extent = static_cast<size_t>(shape[axis]);
    bytes = element;
    for (int i = axis + 1; i < shape.rank(); ++i) bytes *= static_cast<size_t>(shape[i]);
  }
};

// Elements of text are views: what is moved gets text of its own.
Tensor with_own_text(Tensor tensor) { return tensor.dtype() == DType::kString ? tensor.clone() : tensor; }

Shape with_axis(const Shape& shape, int axis, int64_t extent) {
  std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims.insert(dims.begin() + axis, extent);
  return Shape(dims);
}

}  // namespace

TensorType common_type(const NodeContext& node, const TensorType& a, const TensorType& b) {
  node.require(a.dtype == b.dtype && a.container == b.container, "two bodies make different types for one output", name(a.dtype),
               name(b.dtype));
  TensorType type{a.dtype, std::nullopt, a.container};
  if (!a.dims || !b.dims || a.dims->size() != b.dims->size()) return type;
  type.dims = a.dims;
  for (size_t i = 0; i < type.dims->size(); ++i)
    if ((*a.dims)[i] != (*b.dims)[i]) (*type.dims)[i] = Dim();
  return type;
}

TensorType numbers_of(TensorType type) {
  for (size_t i = 0; type.dims && i < type.dims->size(); ++i)
    if (Dim& dim = (*type.dims)[i]; !dim.known()) dim = Dim();
  return type;
}

Tensor slice_at(const Tensor& tensor, int axis, int64_t index) {
  std::vector<int64_t> dims(tensor.shape().dims().begin(), tensor.shape().dims().end());
  dims.erase(dims.begin() + axis);
  Tensor slice(tensor.dtype(), Shape(dims));
  const Blocks blocks(tensor.shape(), axis, size_of(tensor.dtype()));
  const std::byte* from = tensor.view().data + static_cast<size_t>(index) * blocks.bytes;
  std::byte* to = slice.view().data;
  for (size_t b = 0; b < blocks.before && blocks.bytes; ++b) std::memcpy(to + b * blocks.bytes, from + b * blocks.extent * blocks.bytes, blocks.bytes);
  return with_own_text(std::move(slice));
}

Tensor stack(std::span<const Tensor> tensors, int axis, const TensorType& empty) {
  if (tensors.empty()) {
    std::vector<int64_t> dims;
    for (const Dim& dim : empty.dims.value_or(Dims())) dims.push_back(dim.known() ? dim.size : 0);
    require(axis >= 0 && axis <= static_cast<int>(dims.size()), "an axis of a scan output is out of range (axis, rank)", axis, dims.size() + 1);
    return Tensor(empty.dtype, with_axis(Shape(dims), axis, 0));
  }
  const Shape& shape = tensors[0].shape();
  require(axis >= 0 && axis <= shape.rank(), "an axis of a scan output is out of range (axis, rank)", axis, shape.rank() + 1);
  Tensor whole(tensors[0].dtype(), with_axis(shape, axis, static_cast<int64_t>(tensors.size())));
  const Blocks blocks(whole.shape(), axis, size_of(whole.dtype()));
  for (size_t i = 0; i < tensors.size(); ++i) {
    require(tensors[i].shape() == shape, "a scan output has another shape than in the first iteration (iteration, shape, first)", i,
            to_string(tensors[i].shape()), to_string(shape));
    const std::byte* from = tensors[i].view().data;
    std::byte* to = whole.view().data + i * blocks.bytes;
    for (size_t b = 0; b < blocks.before && blocks.bytes; ++b)
      std::memcpy(to + b * blocks.extent * blocks.bytes, from + b * blocks.bytes, blocks.bytes);
  }
  return with_own_text(std::move(whole));
}

}  // namespace tandem
