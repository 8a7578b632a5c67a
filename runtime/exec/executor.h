// Runs a Plan on the calling thread (and its OpenMP team). One executor a lane; not thread-safe.
//
// Shapes are bound when an input shape is first seen and kept; a run with shapes seen before allocates nothing.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/plan/plan.h"

namespace tandem {

class Communicator;
class Profiler;

// The tensors that live from run to run, shared by the plans of one training job (by name).
class StateStore {
 public:
  // The state of that name; made as a copy of `initial` if there is none yet. Throws InvalidArgument if it is there with another
  // type or shape.
  Tensor& get_or_add(const std::string& name, const Tensor& initial);
  Tensor* find(std::string_view name);
  std::map<std::string, Tensor, std::less<>>& all() { return states_; }

 private:
  std::map<std::string, Tensor, std::less<>> states_;
};

struct ExecutorOptions {
  std::shared_ptr<StateStore> states = {};  // null: a store of its own
  Communicator* communicator = nullptr;     // for graphs with collectives
  Profiler* profiler = nullptr;
};

class Executor {
 public:
  explicit Executor(std::shared_ptr<const Plan> plan, ExecutorOptions options = {});
  ~Executor();

  const Plan& plan() const { return *plan_; }
  StateStore& states() { return *states_; }

  // `inputs` in the order of graph.inputs. The outputs, in the order of graph.outputs, are views into the executor's memory, the
  // inputs or the constants, and stand until the next run. Throws InvalidArgument naming the input for a wrong type, rank or
  // dimension, and for a dimension over its bound; the states are then unchanged.
  std::span<const ConstTensorView> run(std::span<const ConstTensorView> inputs);

 private:
  struct Binding;  // all views for one set of input shapes
  Binding& bind(std::span<const ConstTensorView> inputs);
  std::unique_ptr<Binding> make_binding(std::span<const ConstTensorView> inputs);

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<StateStore> states_;
  ExecutorOptions options_;
  Tensor arena_, workspace_;
  std::vector<std::unique_ptr<Binding>> bindings_;
};

}  // namespace tandem
