// What an op without a kernel (OpDef::evaluate) sees during a run: its inputs as they are now, its subgraphs, and its outputs to make.
#pragma once

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "runtime/graph/contexts.h"
#include "runtime/graph/run_value.h"

namespace tandem {

class EvaluateContext : public NodeContext {
 public:
  // Runs the subgraph that is the attribute `name` on these inputs (formal ones, then captured ones).
  using RunSubgraph = std::function<std::vector<RunValue>(std::string_view name, std::span<const RunValue> inputs)>;

  EvaluateContext(const Node& node, std::span<const RunValue> inputs, std::span<RunValue> outputs, int threads,
                  const RunSubgraph& run_subgraph)
      : NodeContext(node), inputs_(inputs), outputs_(outputs), threads_(threads), run_subgraph_(run_subgraph) {}

  int threads() const { return threads_; }
  const RunValue& input(int i) const { return inputs_[static_cast<size_t>(i)]; }
  // Throws InvalidArgument if input `i` is no tensor (an absent one included).
  const Tensor& tensor(int i) const {
    const RunValue& value = input(i);
    require(!value.is_sequence() && value.present && value.tensor, "input must be a tensor (index)", i);
    return value.tensor;
  }
  // From `first` on: what is handed to a subgraph as captured values.
  std::span<const RunValue> inputs_from(int first) const { return inputs_.subspan(static_cast<size_t>(first)); }

  void set_output(int i, RunValue value) {
    if (has_output(i)) outputs_[static_cast<size_t>(i)] = std::move(value);
  }
  void set_output(int i, Tensor tensor) { set_output(i, RunValue::of(std::move(tensor))); }

  std::vector<RunValue> run(std::string_view attribute, std::span<const RunValue> inputs) const { return run_subgraph_(attribute, inputs); }

 private:
  std::span<const RunValue> inputs_;
  std::span<RunValue> outputs_;
  int threads_;
  const RunSubgraph& run_subgraph_;
};

}  // namespace tandem
