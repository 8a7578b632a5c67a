// Small graphs for tests, written in a line each.
#pragma once

#include <string_view>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem::testing {

inline ValueId add(Graph& graph, std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}, std::string_view domain = "") {
  return graph.add_node(newest_op(op, domain), std::move(inputs), 1, std::move(attributes))[0];
}

inline ValueId constant(Graph& graph, std::string name, const Shape& shape, std::vector<float> values) {
  return graph.add_constant(std::move(name), Tensor::of<float>(shape, values));
}

}  // namespace tandem::testing
