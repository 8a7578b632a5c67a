// Graph <-> record of a compiled model. Types of results are not kept: they are inferred again, so that none of them has to be believed.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "runtime/graph/graph.h"
#include "runtime/graph/limits.h"

namespace tandem {

// Where the numbers of a tensor lie in the file.
struct StoredNumbers {
  uint64_t offset = 0, checksum = 0;
};

// `store` takes the numbers of a tensor and says where they will lie. Throws InvalidArgument for a graph that has states.
std::string write_graph(const Graph& graph, const std::function<StoredNumbers(const Tensor&)>& store);

// `fetch` reads numbers of that type and shape. Throws InvalidArgument for whatever is no record of a graph that verifies: unknown ops, ops
// that stand for memory or ranks, sizes beyond `limits`.
Graph read_graph(std::string_view record, const std::function<Tensor(const StoredNumbers&, DType, const Shape&)>& fetch, const Limits& limits);

}  // namespace tandem
