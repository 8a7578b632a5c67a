#include "tests/conformance/run_on_cuda.h"

#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/cpu_types.h"
#include "runtime/plan/shapes.h"
#include "tests/conformance/run_case.h"
#include "tests/support/device_memory.h"

namespace tandem::conformance {

bool has_twin(const Case& one) {
  const Graph graph = graph_of(one);
  return graph.nodes[0].def->cuda != nullptr && gpu_takes(graph, graph.nodes[0]);
}

std::vector<Tensor> run_twin(const Case& one, std::byte fill, const Alias* in_place) {
  const Graph graph = graph_of(one);
  std::vector<Shape> input_shapes;
  for (ValueId id : graph.inputs) input_shapes.push_back(*fixed_shape(*graph.value(id).type.dims));
  const std::vector<Shape> shapes = concrete_shapes(graph, input_shapes);
  const Node& node = graph.nodes[0];
  const BoundKernel kernel = node.def->cuda(BindContext(graph, node, shapes, 1));

  std::vector<test::DeviceMemory> memory;
  memory.reserve(one.inputs.size() + static_cast<size_t>(one.outputs));
  std::vector<ConstTensorView> in;
  for (size_t i = 0; i < one.inputs.size(); ++i) {
    in.push_back(one.inputs[i].view());
    if (!one.inputs[i] || (node.def->host_inputs >> i & 1)) continue;
    memory.emplace_back(in.back());
    in.back().data = memory.back().data();
  }
  std::vector<TensorView> out;
  std::vector<const test::DeviceMemory*> behind;
  for (int o = 0; o < one.outputs; ++o) {
    const ValueId id = node.outputs[static_cast<size_t>(o)];
    memory.emplace_back(static_cast<size_t>(shapes[static_cast<size_t>(id)].elements()) * size_of(graph.value(id).type.dtype), fill);
    out.push_back({memory.back().data(), graph.value(id).type.dtype, shapes[static_cast<size_t>(id)]});
    behind.push_back(&memory.back());
    for (const Alias& alias : node.def->aliases) {
      if (alias.output != o || !(&alias == in_place || alias.kind == AliasKind::kMust)) continue;
      ConstTensorView& source = in[static_cast<size_t>(alias.input)];
      if (!source) continue;
      memory.back().write(one.inputs[static_cast<size_t>(alias.input)].view().data);
      source.data = out.back().data;
    }
  }
  const test::DeviceMemory workspace(kernel.workspace);
  kernel.run({.workspace = {workspace.data(), kernel.workspace}}, in, out);
  std::vector<Tensor> results;
  for (size_t o = 0; o < out.size(); ++o) {
    const std::vector<std::byte> bytes = behind[o]->read();
    results.push_back(Tensor::copy_of({bytes.data(), out[o].dtype, out[o].shape}));
  }
  static_cast<void>(workspace.read());  // its fences
  return results;
}

}  // namespace tandem::conformance
