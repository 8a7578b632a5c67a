#include "serving/protocol/classification.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

namespace tandem {
namespace {

template <class T>
void best_of_row(std::span<const T> row, int64_t k, std::vector<std::string>& out) {
  std::vector<int64_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](int64_t i) { return row[static_cast<size_t>(i)]; };
  const auto better = [&](int64_t a, int64_t b) {
    if constexpr (std::is_floating_point_v<T>)
      if (std::isnan(at(a)) != std::isnan(at(b))) return std::isnan(at(b));
    if (at(a) > at(b)) return true;
    return !(at(b) > at(a)) && a < b;
  };
  std::partial_sort(order.begin(), order.begin() + k, order.end(), better);
  for (int64_t i = 0; i < k; ++i)
    out.push_back(std::to_string(at(order[static_cast<size_t>(i)])) + ":" + std::to_string(order[static_cast<size_t>(i)]));
}

}  // namespace

Tensor classify(ConstTensorView scores, int64_t k, bool batched) {
  const bool rowwise = batched && scores.shape.rank() > 0;
  const int64_t rows = rowwise ? scores.shape[0] : 1;
  const int64_t width = rows > 0 ? scores.elements() / rows : 0;
  k = std::min(k, width);
  std::vector<std::string> texts;
  visit_number(scores.dtype, [&]<class T>() {
    for (int64_t row = 0; row < rows; ++row)
      best_of_row<T>(scores.as<T>().subspan(static_cast<size_t>(row * width), static_cast<size_t>(width)), k, texts);
  });
  return Tensor::strings(rowwise ? Shape{rows, k} : Shape{k}, std::span<const std::string>(texts));
}

}  // namespace tandem
