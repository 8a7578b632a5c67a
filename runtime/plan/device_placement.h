// Which nodes of a graph run on the GPU, where each value lies, and the copies between the two memories.
//
// A node runs on the GPU if its op has a CUDA twin and none of its tensors is text. Exceptions: arithmetic on shapes (small integers that
// are made on the host and wanted there) stays on the host, and a view lies where the tensor does that it looks at. Values that cross become
// nodes of the graph: tandem.CopyToDevice and tandem.CopyToHost, one a value and direction. Constants cross when a plan is loaded, not when
// it runs: what the GPU reads of them is a value of its own.
#pragma once

#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// Where memory lies and where work is done.
enum class Space : uint8_t { kHost, kDevice };

struct DevicePlacement {
  std::vector<Space> nodes;                 // indexed like graph.nodes
  std::vector<Space> values;                // indexed by ValueId
  std::vector<std::string> without_twin;    // "StringNormalizer (node 'x')": what runs on the host for want of a twin
};

// Everything on the host; for a graph that runs on the CPU.
DevicePlacement place_on_host(const Graph& graph);

// Inserts the copies and orders the nodes so that the GPU is interrupted by the host as seldom as possible.
// `device_collectives`: collectives work on the GPU's memory; else they exchange the host's.
// Nodes that make `dynamic` values (indexed by ValueId; empty: none) stay on the host.
DevicePlacement place_on_device(Graph& graph, bool device_collectives = false, const std::vector<bool>& dynamic = {});

bool is_copy_to_device(const Node& node);
bool is_copy_to_host(const Node& node);
// Whether the node brings an input of the graph to the device: the executor does that ahead of the run.
bool is_feed(const Graph& graph, const Node& node);
// Whether nothing is computed: the output is the input's memory.
bool is_view(const Node& node);

}  // namespace tandem
