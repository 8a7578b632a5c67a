#include "tests/conformance/run_case.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/exec/executor.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/shapes.h"

namespace tandem::conformance {
namespace {

constexpr size_t kFence = 64;
constexpr std::byte kFenceByte{0x5C};

bool is_updated(const OpDef& def, int input) {
  return std::ranges::any_of(def.aliases, [&](const Alias& a) { return a.input == input && a.kind == AliasKind::kMust; });
}
bool is_constant(const Case& one, size_t i) {
  return std::ranges::find(one.constants, static_cast<int>(i)) != one.constants.end();
}

// Memory with a fence on either side.
class FencedBuffer {
 public:
  FencedBuffer(size_t bytes, std::byte fill) : bytes_(bytes), memory_(DType::kU8, {static_cast<int64_t>(bytes + 2 * kFence)}) {
    std::byte* start = memory_.view().data;
    std::fill_n(start, memory_.bytes(), kFenceByte);
    std::fill_n(start + kFence, bytes, fill);
  }
  std::byte* data() { return memory_.view().data + kFence; }
  bool is_whole() {
    const std::byte* start = memory_.view().data;
    const auto intact = [](std::byte b) { return b == kFenceByte; };
    return std::all_of(start, start + kFence, intact) &&
           std::all_of(start + kFence + bytes_, start + bytes_ + 2 * kFence, intact);
  }

 private:
  size_t bytes_;
  Tensor memory_;
};

}  // namespace

Graph graph_of(const Case& one, bool fixed_shapes) {
  const OpDef& def = definition(one);
  Graph graph;
  graph.opsets[std::string(def.domain)] =
      def.domain == "ai.onnx.ml" ? kOnnxMlOpset : std::max(def.since, std::min(kOnnxOpset, def.until - 1));
  std::vector<ValueId> ids;
  for (size_t i = 0; i < one.inputs.size(); ++i) {
    const Tensor& input = one.inputs[i];
    const std::string name = "x" + std::to_string(i);
    if (!input)
      ids.push_back(kNoValue);
    else if (is_updated(def, static_cast<int>(i)))
      ids.push_back(graph.add_state(name, input));
    else if (is_constant(one, i))
      ids.push_back(graph.add_constant(name, input));
    else
      ids.push_back(graph.add_input(name, input.dtype(),
                                    fixed_shapes ? to_dims(input.shape()) : Dims(static_cast<size_t>(input.shape().rank()))));
  }
  graph.outputs = graph.add_node(def, ids, one.outputs, one.attributes, "node");
  return graph;
}

std::vector<Tensor> fed_inputs(const Case& one) {
  std::vector<Tensor> fed;
  for (size_t i = 0; i < one.inputs.size(); ++i)
    if (one.inputs[i] && !is_constant(one, i) && !is_updated(definition(one), static_cast<int>(i))) fed.push_back(one.inputs[i]);
  return fed;
}

namespace {

// The bits are compared with the node's own kernel: no other layout, which sums in another order.
std::vector<Tensor> run_planned(const Graph& graph, const std::vector<Tensor>& planned, const std::vector<Tensor>& inputs, int threads) {
  std::vector<Shape> shapes;
  for (const Tensor& input : planned) shapes.push_back(input.shape());
  Executor executor(make_plan(graph, {.threads = threads, .bounds = bounds_of(graph, shapes), .disabled_passes = {"layout_assignment"}}));
  std::vector<ConstTensorView> views;
  for (const Tensor& input : inputs) views.push_back(input.view());
  std::vector<Tensor> outputs;
  for (const ConstTensorView& view : executor.run(views)) outputs.push_back(Tensor::copy_of(view));
  return outputs;
}

}  // namespace

std::vector<Tensor> run(const Graph& graph, const std::vector<Tensor>& inputs, int threads) {
  return run_planned(graph, inputs, inputs, threads);
}

std::vector<Tensor> run_within(const Graph& graph, const std::vector<Tensor>& planned, const std::vector<Tensor>& inputs) {
  return run_planned(graph, planned, inputs, 1);
}

std::vector<Tensor> run_kernel(const Case& one, int threads, std::byte fill, const Alias* in_place) {
  const Graph graph = graph_of(one);
  std::vector<Shape> input_shapes;
  for (ValueId id : graph.inputs) input_shapes.push_back(*fixed_shape(*graph.value(id).type.dims));
  const std::vector<Shape> shapes = concrete_shapes(graph, input_shapes);
  const Node& node = graph.nodes[0];
  const BoundKernel kernel = node.def->cpu(BindContext(graph, node, shapes, threads));

  std::vector<Tensor> copies;
  std::vector<ConstTensorView> in;
  for (const Tensor& input : one.inputs) {
    copies.push_back(input ? input.clone() : Tensor());
    in.push_back(std::as_const(copies.back()).view());
  }
  std::vector<FencedBuffer> memory;
  std::vector<TensorView> out;
  for (int o = 0; o < one.outputs; ++o) {
    const ValueId id = node.outputs[static_cast<size_t>(o)];
    const Shape& shape = shapes[static_cast<size_t>(id)];
    const DType dtype = graph.value(id).type.dtype;
    memory.emplace_back(static_cast<size_t>(shape.elements()) * size_of(dtype), fill);
    out.push_back({memory.back().data(), dtype, shape});
    const bool updates =
        std::ranges::any_of(node.def->aliases, [&](const Alias& a) { return a.output == o && a.kind == AliasKind::kMust; });
    for (const Alias& alias : node.def->aliases) {
      if (alias.output != o || !(&alias == in_place || (updates && alias.kind == AliasKind::kMust))) continue;
      ConstTensorView& source = in[static_cast<size_t>(alias.input)];
      if (source.bytes()) std::memcpy(out.back().data, source.data, source.bytes());
      source.data = out.back().data;
    }
  }
  Tensor workspace(DType::kU8, {static_cast<int64_t>(kernel.workspace)});
  kernel.run({.threads = threads, .workspace = {workspace.view().data, kernel.workspace}}, in, out);
  std::vector<Tensor> results;
  for (size_t o = 0; o < out.size(); ++o) {
    ensure(memory[o].is_whole(), "the kernel wrote beside its output", o);
    results.push_back(Tensor::copy_of(out[o]));
  }
  return results;
}

}  // namespace tandem::conformance
