// All views of one run, step by step, for one set of input shapes. Only the addresses of the inputs change from run to run.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "runtime/plan/plan.h"

namespace tandem {

class CapturedGraph;

// Where the memories of one executor begin.
struct Memories {
  std::byte* host_arena = nullptr;
  std::byte* device_arena = nullptr;
  std::byte* feeds = nullptr;                                // on the device
  std::function<std::byte*(ValueId root, Space)> state;      // of the state `root`
  std::function<std::byte*(ValueId root, Space)> constant;   // of the constant `root`
};

struct Binding {
  struct StepViews {
    size_t first_input, input_count, first_output, output_count;
  };
  // A view into the caller's memory, patched before each run.
  struct Patch {
    size_t at;     // in the list
    size_t input;  // of the graph
    int64_t offset;
  };

  std::vector<Shape> input_shapes;
  size_t feed_slot = 0;                 // whose feeds the views show
  bool kept = false;                    // however many others come
  ValueId too_large = kNoValue;         // larger for these inputs than at the bounds: the plan cannot run them
  std::vector<ConstTensorView> inputs;  // of all steps, one after the other
  std::vector<TensorView> outputs;
  std::vector<ConstTensorView> results;  // of the graph
  std::vector<StepViews> steps;
  std::vector<Patch> input_patches, result_patches;
  // Outputs that are views of an input: their kernels write other outputs only, but see by the address that nothing is to be done here.
  std::vector<Patch> output_patches;

  // On a GPU: how often it ran, and each segment of steps as it was captured (null: not yet, or a segment on the host).
  int runs = 0;
  std::vector<std::unique_ptr<CapturedGraph>> captured;

  Inputs step_inputs(size_t s) const { return {inputs.data() + steps[s].first_input, steps[s].input_count}; }
  Outputs step_outputs(size_t s) const { return {outputs.data() + steps[s].first_output, steps[s].output_count}; }
  // Points the views that show the caller's memory to these inputs.
  void patch(std::span<const ConstTensorView> given);

  Binding();
  Binding(const Binding&) = delete;
  Binding& operator=(const Binding&) = delete;
  ~Binding();
};

// Throws InvalidArgument naming the input for a wrong type, rank or dimension, a dimension over its bound, or one symbol with two sizes.
void check_inputs(const Plan& plan, std::span<const ConstTensorView> inputs);

// REQUIRES check_inputs.
std::unique_ptr<Binding> make_binding(const Plan& plan, std::span<const ConstTensorView> inputs, const Memories& memories);

}  // namespace tandem
