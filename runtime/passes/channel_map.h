// BatchNormalization outside of training: one factor and one sum for each channel.
#pragma once

#include <optional>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// x * factor + shift.
struct ChannelMap {
  std::vector<double> factor, shift;
};

// That of a BatchNormalization whose four parameters are constants of type `dtype`; nothing otherwise, or in training.
std::optional<ChannelMap> map_of_batch_norm(const Graph& graph, const Node& node, DType dtype);

// The elements of a float tensor.
std::vector<double> in_double(const Tensor& tensor);

}  // namespace tandem
