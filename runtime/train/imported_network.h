// Any graph as a network to train: which of its constants are weights, and which output the loss reads.
#pragma once

#include <string>
#include <vector>

#include "runtime/train/network.h"

namespace tandem {

// The f32 constants that layers learn, in the order of their use: operands of products and convolutions, recurrent weights, scales and biases of
// normalizations, tables that Gather reads, and vectors that are added or multiplied. They may pass Identity, Transpose and changes of shape on
// the way. Not: scalars, masks, running statistics.
std::vector<std::string> trainable_constants(const Graph& graph);

struct ImportedNetwork {
  std::string scores = {};                   // an output of the graph; empty: its only one, or the first
  std::vector<std::string> parameters = {};  // empty: trainable_constants
};

// Scores are logits [..., classes], or predictions. The graph becomes free of all other outputs. Throws InvalidArgument for a name that the graph
// does not have and for a graph without a weight.
Network network_of(Graph graph, const ImportedNetwork& options = {});

}  // namespace tandem
