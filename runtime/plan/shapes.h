// The shapes of all values for given shapes of the inputs: the ops' own rules, run with numbers in place of symbols.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

struct ResolvedShapes {
  std::vector<Shape> shapes;  // indexed by ValueId; empty for values that no node makes and for dynamic ones
  // Values whose shape only a run can know (what NonZero makes), sequences and optional values, and whatever is computed from one of these.
  std::vector<bool> dynamic;
};

// `inputs` in the order of graph.inputs, nothing for a dynamic one. Small integer tensors that only depend on shapes are computed on the way,
// so that Shape -> Gather -> Reshape chains resolve.
ResolvedShapes resolve_shapes(const Graph& graph, std::span<const std::optional<Shape>> inputs);

// For graphs without dynamic values. Throws InvalidArgument naming the first value that is one.
std::vector<Shape> concrete_shapes(const Graph& graph, std::span<const Shape> inputs);

// The sizes that these shapes of the inputs give to the symbolic dimensions, as PlanOptions::bounds wants them.
std::map<std::string, int64_t, std::less<>> bounds_of(const Graph& graph, std::span<const Shape> inputs);

}  // namespace tandem
