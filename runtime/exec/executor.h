// Runs a Plan: on the calling thread and its OpenMP team, or on a GPU. One executor a lane; not thread-safe.
//
// Shapes are bound when an input shape is first seen and kept; a run with shapes seen before allocates nothing. On a GPU the second run with
// the same shapes is captured, and later ones replay it: one launch for each stretch of work between steps on the CPU. prepare() does that
// beforehand, for shapes that are known to come. On the CPU, inputs within the bounds that make some value larger than the bounds do (a
// difference of two sizes may) are run by a plan without bounds, made when such come first.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/exec/binding.h"
#include "runtime/exec/device_lane.h"
#include "runtime/exec/dynamic_steps.h"
#include "runtime/exec/segments.h"
#include "runtime/exec/state_store.h"
#include "runtime/graph/run_value.h"

namespace tandem {

class Communicator;
class Profiler;

struct ExecutorOptions {
  std::shared_ptr<StateStore> states = {};  // null: a store of its own
  Communicator* communicator = nullptr;     // for graphs with collectives
  Profiler* profiler = nullptr;             // on a GPU each step is then waited for, and nothing is captured
  // For plans on a GPU.
  std::shared_ptr<Device> device = {};
  std::shared_ptr<const DeviceConstants> constants = {};  // of this plan on that device; null: brought there for this executor
  bool fast_math = false;                                 // TF32 may be used for f32 products
  bool capture = true;
};

// Whether a run is to end: nobody wants its outputs any more.
using StopCheck = std::function<bool()>;

class Executor {
 public:
  // Throws InvalidArgument for a plan on a GPU without a device, OutOfMemory if the device lacks the memory.
  explicit Executor(std::shared_ptr<const Plan> plan, ExecutorOptions options = {});
  ~Executor();

  const Plan& plan() const { return *plan_; }
  StateStore& states() { return *states_; }

  // `inputs` in the order of graph.inputs. The outputs, in the order of graph.outputs, are views into the executor's memory, the
  // inputs or the constants, and stand until the next run. Throws InvalidArgument naming the input for a wrong type, rank or
  // dimension, and for a dimension over its bound; the states are then unchanged. Throws Device if the GPU fails: then neither this
  // executor nor the states on that GPU can be used any more, and a job goes on from its checkpoint.
  std::span<const ConstTensorView> run(std::span<const ConstTensorView> inputs);

  // The same for graphs without states, asking between the steps on the CPU whether to go on; a run on a GPU is asked for once, before it
  // begins. Throws Cancelled if it was stopped.
  std::span<const ConstTensorView> run(std::span<const ConstTensorView> inputs, const StopCheck& stop);

  // Runs with inputs of these shapes until the next run() with such has nothing left to make: on a GPU it replays. What was made for them is
  // kept, however many other shapes come. Throws what run() throws.
  void prepare(std::span<const ConstTensorView> inputs);
  // The same for graphs that take or make sequences and optional values (views of those cannot be had: run() leaves them null). What comes
  // back is the caller's own. `stop` as above.
  std::vector<RunValue> run_values(std::span<const RunValue> inputs, const StopCheck& stop = {});

  // run() in pieces, so that the next inputs travel while the GPU works (in the second feed buffer, whose runs are captured apart):
  //   start(a);  loop { prefetch(b);  use(finish());  start(); }
  void start(std::span<const ConstTensorView> inputs);
  // The next start() takes these. They must stay as they are until then.
  void prefetch(std::span<const ConstTensorView> inputs);
  void start();
  std::span<const ConstTensorView> finish();

  // The most bytes that values took so far for which no plan could be made: beside the plan's peak_bytes().
  int64_t dynamic_peak_bytes() const;

  // What a user wants to know of capture: "captured: 2 graphs, 31 nodes", or why not.
  std::string capture_report() const;
  // Held now, over all shapes.
  int64_t captured_graphs() const { return captured_graphs_; }
  // Why a capture failed, after which nothing more is captured; "" if none did.
  const std::string& not_captured() const { return not_captured_; }

 private:
  Memories memories(size_t slot);
  Binding& bind(std::span<const ConstTensorView> inputs, size_t slot);
  void make_room();
  std::span<std::byte> scratch(const Step& step);
  void execute(Binding& binding);
  void run_segment(Binding& binding, size_t segment);
  void run_steps(Binding& binding, const Segment& segment);
  void run_step(Binding& binding, size_t s);
  void launch_step(Binding& binding, size_t s);
  void launch_captured(Binding& binding, size_t segment);
  void hand_over_dynamic_inputs();
  void check_stop() const;
  Executor& unbounded();
  RunValue result(size_t output, const ConstTensorView& view) const;
  void forget_values();
  void bring_states();
  void wait_for_device();

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<StateStore> states_;
  ExecutorOptions options_;
  std::unique_ptr<DeviceLane> lane_;  // null: on the CPU
  std::unique_ptr<DynamicSteps> dynamic_;  // null: every shape is planned
  std::vector<RunValue> next_values_;      // of run_values()
  std::unique_ptr<Executor> unbounded_;    // for shapes that the bounds do not cover; null: none came yet
  bool ran_unbounded_ = false;             // the last run
  const StopCheck* stop_ = nullptr;        // of the run under way; null: it is not stopped
  Tensor arena_, workspace_;  // workspace_: of steps on the host of a plan for a GPU
  std::vector<std::unique_ptr<Binding>> bindings_;
  std::vector<Segment> segments_;
  std::vector<ValueId> device_states_, replaced_states_;
  std::vector<ValueId> host_states_, replaced_on_host_;
  Binding *next_ = nullptr, *running_ = nullptr;
  std::vector<ConstTensorView> next_inputs_;
  size_t slot_ = 0;  // of the run now under way, or the last one
  bool device_is_busy_ = false;
  bool has_device_collectives_;
  std::string not_captured_;  // why
  int64_t captured_graphs_ = 0;
};

}  // namespace tandem
