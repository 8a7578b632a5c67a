#include "runtime/train/imported_network.h"

#include <algorithm>
#include <map>

#include "kernels/base/error.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

// Bits of the inputs that an op learns.
struct LearntInputs {
  std::string_view op;
  unsigned inputs;
  size_t rank = 0;  // of the constant; 0: any from 1 on
};

constexpr LearntInputs kLearnt[] = {
    {"Gemm", 0b111},
    {"MatMul", 0b11},
    {"Conv", 0b110},
    {"ConvTranspose", 0b110},
    {"Gather", 0b1},
    {"LayerNormalization", 0b110},
    {"RMSNormalization", 0b10},
    {"BatchNormalization", 0b110},
    {"InstanceNormalization", 0b110},
    {"GroupNormalization", 0b110},
    {"PRelu", 0b10},
    {"Einsum", 0b11},
    {"LSTM", 0b1110},
    {"GRU", 0b1110},
    {"RNN", 0b1110},
    {"Add", 0b11, 1},
    {"Mul", 0b11, 1},
};

constexpr std::string_view kPassedOn[] = {"Identity", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten"};

bool learns(const Node& node, size_t input, size_t rank) {
  if (node.def->domain != "") return false;
  return std::ranges::any_of(kLearnt, [&](const LearntInputs& learnt) {
    return learnt.op == node.def->name && (learnt.inputs >> input & 1) && (learnt.rank == 0 || learnt.rank == rank);
  });
}

bool can_learn(const Value& value) {
  return value.kind == ValueKind::kConstant && value.data.dtype() == DType::kF32 && value.data.shape().rank() > 0 &&
         value.data.shape().elements() > 1;
}

}  // namespace

std::vector<std::string> trainable_constants(const Graph& graph) {
  std::vector<std::string> names;
  std::map<ValueId, ValueId> origins;  // of a constant in another form
  for (const Node& node : graph.nodes) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const auto passed = origins.find(node.inputs[i]);
      const ValueId origin = passed == origins.end() ? node.inputs[i] : passed->second;
      const Value& value = graph.value(origin);
      if (!can_learn(value)) continue;
      if (i == 0 && std::ranges::find(kPassedOn, node.def->name) != std::end(kPassedOn)) origins[node.outputs[0]] = origin;
      if (learns(node, i, value.data.shape().rank()) && std::ranges::find(names, value.name) == names.end())
        names.push_back(value.name);
    }
  }
  return names;
}

Network network_of(Graph graph, const ImportedNetwork& options) {
  require(!graph.outputs.empty(), "a graph without outputs has nothing to train for");
  Network network;
  network.scores = options.scores.empty() ? graph.value(graph.outputs[0]).name : options.scores;
  const auto output = std::ranges::find_if(graph.outputs, [&](ValueId id) { return graph.value(id).name == network.scores; });
  require(output != graph.outputs.end(), "the graph has no output of this name for the loss to read", network.scores);
  network.parameters = options.parameters.empty() ? trainable_constants(graph) : options.parameters;
  require(!network.parameters.empty(), "the graph has no weights to train: no f32 constant is an operand of a layer", graph.name);
  graph.outputs = {*output};
  network.graph = std::move(graph);
  return network;
}

}  // namespace tandem
