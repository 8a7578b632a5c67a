#include "runtime/passes/transposed_constant.h"

#include <cstring>
#include <numeric>

namespace tandem {

Tensor transposed(const Tensor& tensor, const Permutation& order) {
  const Shape& from = tensor.shape();
  std::vector<int64_t> sizes, strides(order.size(), 1), index(order.size());
  for (int axis : order) sizes.push_back(from[axis]);
  for (size_t a = 0; a < order.size(); ++a) strides[a] = from.product(order[a] + 1, from.rank());
  Tensor result(tensor.dtype(), Shape(sizes));
  const size_t bytes = size_of(tensor.dtype());
  std::byte* to = result.view().data;
  for (int64_t e = 0; e < tensor.elements(); ++e, to += bytes) {
    std::memcpy(to, tensor.view().data + static_cast<size_t>(std::inner_product(index.begin(), index.end(), strides.begin(), int64_t{0})) * bytes, bytes);
    for (size_t a = order.size(); a-- > 0 && ++index[a] == sizes[a];) index[a] = 0;
  }
  return result;
}

}  // namespace tandem
