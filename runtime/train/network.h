// What a trainer needs to know of a graph beyond the graph itself.
#pragma once

#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

struct Network {
  Graph graph;                          // the model as it is served: raw inputs to outputs
  std::vector<std::string> parameters;  // its constants that are trained, in the order of their use
  std::string scores;                   // the value the loss reads: logits [batch, ..., classes], or predictions [batch, 1]
};

}  // namespace tandem
