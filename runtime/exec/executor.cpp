#include "runtime/exec/executor.h"

#include <algorithm>
#include <set>
#include <utility>

#include "kernels/cuda/device/session.h"
#include "runtime/comm/device_communicator.h"
#include "runtime/exec/profiler.h"
#include "runtime/graph/node_error.h"

namespace tandem {
namespace {

constexpr int64_t kMostBindings = 64;  // sets of input shapes, beside those that are to be kept; the one unused for longest is dropped

int64_t graphs_of(const Binding& binding) {
  return std::ranges::count_if(binding.captured, [](const auto& graph) { return graph != nullptr; });
}

// If there is no memory, the node whose result takes most of it is to blame.
Tensor arena_of(const Plan& plan) {
  try {
    return Tensor(DType::kU8, {plan.host.arena});
  } catch (const Error& error) {
    const auto in_arena = [](const BufferPlan& buffer) { return buffer.placement == Placement::kArena ? buffer.bytes : -1; };
    const auto largest = static_cast<ValueId>(std::ranges::max_element(plan.buffers, {}, in_arena) - plan.buffers.begin());
    for (const Node& node : plan.graph.nodes)
      if (std::ranges::find(node.outputs, largest) != node.outputs.end()) throw naming_node(error, node);
    throw;
  }
}

}  // namespace

Executor::Executor(std::shared_ptr<const Plan> plan, ExecutorOptions options)
    : plan_(std::move(plan)),
      states_(options.states ? options.states : std::make_shared<StateStore>()),
      options_(std::move(options)),
      segments_(find_segments(*plan_)),
      has_device_collectives_(tandem::has_device_collectives(*plan_)) {
  if (plan_->on_device()) {
    require(options_.device != nullptr, "a plan for a GPU needs a device to run on", plan_->graph.name);
    lane_ = std::make_unique<DeviceLane>(*plan_, options_.device, options_.constants,
                                         options_.fast_math ? cuda::Math::kFast : cuda::Math::kStrict);
  } else {
    arena_ = arena_of(*plan_);
  }
  if (lane_) workspace_ = Tensor(DType::kU8, {plan_->host.workspace});
  if (std::ranges::find(plan_->dynamic, true) != plan_->dynamic.end()) dynamic_ = std::make_unique<DynamicSteps>(plan_);
  std::set<ValueId> replaced;
  for (const Node& node : plan_->graph.nodes)
    for (const Alias& alias : node.def->aliases)
      if (alias.kind == AliasKind::kMust && node.inputs[static_cast<size_t>(alias.input)] != kNoValue)
        replaced.insert(plan_->buffers[static_cast<size_t>(node.inputs[static_cast<size_t>(alias.input)])].root);
  for (size_t i = 0; i < plan_->graph.values.size(); ++i) {
    const Value& value = plan_->graph.values[i];
    if (value.kind != ValueKind::kState) continue;
    states_->get_or_add(value.name, value.data);
    const bool on_device = plan_->placement.values[i] == Space::kDevice;
    (on_device ? device_states_ : host_states_).push_back(static_cast<ValueId>(i));
    if (replaced.contains(static_cast<ValueId>(i))) (on_device ? replaced_states_ : replaced_on_host_).push_back(static_cast<ValueId>(i));
  }
}

Executor::~Executor() = default;

Memories Executor::memories(size_t slot) {
  const Graph& graph = plan_->graph;
  Memories memories;
  memories.host_arena = lane_ ? lane_->host_arena() : arena_.view().data;
  if (lane_) {
    memories.device_arena = lane_->arena();
    memories.feeds = lane_->feeds(slot);
  }
  memories.state = [this, &graph](ValueId root, Space space) {
    const std::string& name = graph.value(root).name;
    return space == Space::kHost ? states_->find(name)->view().data : states_->on_device(name, lane_->device());
  };
  memories.constant = [this, &graph](ValueId root, Space space) {
    return space == Space::kHost ? const_cast<std::byte*>(graph.value(root).data.view().data) : lane_->constants().address(root);
  };
  return memories;
}

Binding& Executor::bind(std::span<const ConstTensorView> inputs, size_t slot) {
  const Graph& graph = plan_->graph;
  require(inputs.size() == graph.inputs.size(), "wrong number of inputs (given, expected)", inputs.size(), graph.inputs.size());
  const auto same = [&](const auto& binding) {
    if (binding->feed_slot != slot) return false;
    for (size_t i = 0; i < inputs.size(); ++i)  // nothing is bound to the shape of a dynamic input
      if (!plan_->is_dynamic(graph.inputs[i]) && binding->input_shapes[i] != inputs[i].shape) return false;
    return true;
  };
  bool same_types = true;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& type = graph.value(graph.inputs[i]).type;
    same_types = same_types && (type.container != Container::kTensor || type.dtype == inputs[i].dtype);
  }
  if (const auto found = std::ranges::find_if(bindings_, same); same_types && found != bindings_.end()) {
    if (dynamic_) check_inputs(*plan_, inputs);  // the binding says nothing of dynamic inputs
    std::rotate(bindings_.begin(), found, found + 1);  // most recently used first
    return *bindings_.front();
  }
  check_inputs(*plan_, inputs);
  make_room();
  std::unique_ptr<Binding> binding = make_binding(*plan_, inputs, memories(slot));
  if (const ValueId id = binding->too_large; id != kNoValue && lane_)
    fail(ErrorCode::kInvalidArgument, "a value is larger than at the bounds of the plan (value)", {graph.value(id).name});
  binding->feed_slot = slot;
  binding->captured.resize(segments_.size());
  bindings_.insert(bindings_.begin(), std::move(binding));
  return *bindings_.front();
}

void Executor::make_room() {
  if (std::ranges::count_if(bindings_, [](const auto& binding) { return !binding->kept; }) < kMostBindings) return;
  for (auto i = bindings_.end(); i-- != bindings_.begin();) {
    if ((*i)->kept || i->get() == running_) continue;
    captured_graphs_ -= graphs_of(**i);
    bindings_.erase(i);
    return;
  }
}

// What another plan of the job, or somebody else, did to the states since the last run.
void Executor::bring_states() {
  for (ValueId id : device_states_) states_->on_device(plan_->graph.value(id).name, lane_->device());
  if (states_->uses_device())
    for (ValueId id : host_states_) {
      const std::string& name = plan_->graph.value(id).name;
      if (std::ranges::find(replaced_on_host_, id) != replaced_on_host_.end())
        states_->find(name);
      else
        states_->read(name);
    }
}

std::span<const ConstTensorView> Executor::run(std::span<const ConstTensorView> inputs) {
  start(inputs);
  return finish();
}

std::span<const ConstTensorView> Executor::run(std::span<const ConstTensorView> inputs, const StopCheck& stop) {
  struct Reset {
    Executor& self;
    ~Reset() { self.stop_ = nullptr; }
  } const reset{*this};
  if (stop) stop_ = &stop;
  return run(inputs);
}

void Executor::check_stop() const {
  if (stop_ && (*stop_)()) [[unlikely]]
    fail(ErrorCode::kCancelled, "the run was stopped: nobody waits for its outputs");
}

void Executor::prepare(std::span<const ConstTensorView> inputs) {
  run(inputs);
  if (lane_) run(inputs);
  bindings_.front()->kept = true;
}

std::vector<RunValue> Executor::run_values(std::span<const RunValue> inputs, const StopCheck& stop) {
  const Graph& graph = plan_->graph;
  require(inputs.size() == graph.inputs.size(), "wrong number of inputs (given, expected)", inputs.size(), graph.inputs.size());
  std::vector<ConstTensorView> views;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = graph.value(graph.inputs[i]);
    require(inputs[i].container == input.type.container && (inputs[i].dtype == input.type.dtype || !inputs[i].present),
            "an input has another type than the model takes (input, type)", input.name, name(inputs[i].dtype));
    views.push_back(inputs[i].tensor ? inputs[i].tensor.view() : ConstTensorView{});
  }
  struct Forget {
    Executor& self;
    ~Forget() { self.forget_values(); }
  } const forget{*this};
  next_values_.assign(inputs.begin(), inputs.end());
  const auto results = run(views, stop);
  std::vector<RunValue> outputs;
  for (size_t i = 0; i < results.size(); ++i) outputs.push_back(result(i, results[i]));
  return outputs;
}

// Of a run whose outputs are the caller's own by now, or that failed: a body waits for its next run with nothing but its arena.
void Executor::forget_values() {
  next_values_.clear();
  if (dynamic_) dynamic_->begin();
  if (unbounded_) unbounded_->forget_values();
}

// An output of the last run as the caller's own.
RunValue Executor::result(size_t output, const ConstTensorView& view) const {
  if (ran_unbounded_) return unbounded_->result(output, view);
  const ValueId id = plan_->graph.outputs[output];
  RunValue value = plan_->is_dynamic(id) ? dynamic_->value(id) : RunValue::of(Tensor::borrow(view));
  const auto own = [](Tensor& tensor) {
    if (tensor.is_borrowed() || tensor.dtype() == DType::kString) tensor = tensor.clone();
  };
  own(value.tensor);
  std::ranges::for_each(value.sequence, own);
  return value;
}

Executor& Executor::unbounded() {
  if (unbounded_) return *unbounded_;
  PlanOptions options = plan_->options;
  options.open_symbols = true;
  options.bounds.clear();
  options.packs = plan_->packs;
  const ExecutorOptions own{.states = states_, .communicator = options_.communicator, .profiler = options_.profiler};
  unbounded_ = std::make_unique<Executor>(make_plan(plan_->graph, options), own);
  return *unbounded_;
}

void Executor::hand_over_dynamic_inputs() {
  const Graph& graph = plan_->graph;
  dynamic_->begin();
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    if (!plan_->is_dynamic(graph.inputs[i])) continue;
    require(!next_values_.empty() || graph.value(graph.inputs[i]).type.container == Container::kTensor,
            "an input is no tensor but a sequence or an optional value (input)", graph.value(graph.inputs[i]).name);
    dynamic_->set_value(graph.inputs[i], next_values_.empty() ? RunValue::of(Tensor::borrow(next_inputs_[i])) : std::move(next_values_[i]));
  }
  next_values_.clear();
}

void Executor::start(std::span<const ConstTensorView> inputs) {
  prefetch(inputs);
  start();
}

void Executor::prefetch(std::span<const ConstTensorView> inputs) {
  next_ = nullptr;
  const size_t slot = running_ ? 1 - slot_ : slot_;  // a run under way reads its own
  Binding& binding = bind(inputs, slot);
  if (lane_) lane_->feed(slot, inputs);
  if (binding.too_large != kNoValue) unbounded().prefetch(inputs);
  next_inputs_.assign(inputs.begin(), inputs.end());
  next_ = &binding;
}

void Executor::start() {
  ensure(next_ != nullptr && running_ == nullptr, "start() without inputs, or while a run is under way");
  Binding& binding = *std::exchange(next_, nullptr);
  ran_unbounded_ = binding.too_large != kNoValue;
  if (ran_unbounded_) {
    unbounded_->next_values_ = std::move(next_values_);
    next_values_.clear();
    unbounded_->stop_ = stop_;
    unbounded_->start();
    running_ = &binding;
    return;
  }
  binding.patch(next_inputs_);
  bring_states();
  if (dynamic_) hand_over_dynamic_inputs();
  if (lane_) {
    slot_ = binding.feed_slot;
    lane_->wait_for_feed(slot_);
  }
  execute(binding);
  running_ = &binding;
}

std::span<const ConstTensorView> Executor::finish() {
  ensure(running_ != nullptr, "finish() without a run");
  Binding& binding = *std::exchange(running_, nullptr);
  if (ran_unbounded_) return unbounded_->finish();
  if (lane_) {
    wait_for_device();
    device_is_busy_ = false;
    for (ValueId id : replaced_states_) states_->replaced_on_device(plan_->graph.value(id).name);
  }
  ++binding.runs;
  for (size_t i = 0; i < plan_->graph.outputs.size(); ++i)
    if (const ValueId id = plan_->graph.outputs[i]; plan_->is_dynamic(id)) {
      const Tensor& tensor = dynamic_->value(id).tensor;
      binding.results[i] = tensor ? tensor.view() : ConstTensorView{};
    }
  return binding.results;
}

void Executor::execute(Binding& binding) {
  check_stop();
  for (size_t segment = 0; segment < segments_.size(); ++segment) run_segment(binding, segment);
}

void Executor::run_segment(Binding& binding, size_t segment) {
  const Segment& range = segments_[segment];
  if (!range.on_device) {
    if (device_is_busy_) wait_for_device();  // what was copied to the host has arrived
    device_is_busy_ = false;
    return run_steps(binding, range);
  }
  if (!range.captures && device_is_busy_) wait_for_device();  // what the host reads when it launches has arrived
  device_is_busy_ = true;
  // The first run makes library handles and chooses algorithms, which capture does not allow.
  if (options_.capture && !options_.profiler && not_captured_.empty() && range.captures && binding.runs > 0)
    return launch_captured(binding, segment);
  run_steps(binding, range);
}

void Executor::launch_captured(Binding& binding, size_t segment) {
  std::unique_ptr<CapturedGraph>& graph = binding.captured[segment];
  Stream& stream = lane_->stream();
  if (!graph) {
    stream.begin_capture();
    try {
      run_steps(binding, segments_[segment]);
      graph = stream.end_capture();
      ++captured_graphs_;
    } catch (const Error& error) {
      stream.abandon_capture();
      not_captured_ = error.what();
      return run_steps(binding, segments_[segment]);
    } catch (...) {
      stream.abandon_capture();
      throw;
    }
  }
  stream.launch(*graph);
}

void Executor::run_steps(Binding& binding, const Segment& segment) {
  for (size_t s = segment.first; s < segment.last; ++s) {
    const Step& step = plan_->steps[s];
    if (step.kind == StepKind::kView || step.kind == StepKind::kFeed) continue;
    if (!lane_) check_stop();
    if (!options_.profiler) [[likely]] {
      run_step(binding, s);
      continue;
    }
    const auto span = options_.profiler->measure(plan_->graph.nodes[static_cast<size_t>(step.node)]);
    run_step(binding, s);
    if (segment.on_device) lane_->stream().synchronize();
  }
}

// Work that has collectives among it may wait for another rank that never comes.
void Executor::wait_for_device() {
  DeviceCommunicator* const ranks = options_.communicator ? options_.communicator->devices() : nullptr;
  if (has_device_collectives_ && ranks)
    ranks->synchronize(lane_->stream().handle());
  else
    lane_->stream().synchronize();
}

// What a kernel says of its views becomes a message of the node.
void Executor::run_step(Binding& binding, size_t s) {
  try {
    launch_step(binding, s);
  } catch (const Error& error) {
    throw naming_node(error, plan_->graph.nodes[static_cast<size_t>(plan_->steps[s].node)]);
  }
}

// Of a kernel on the host.
std::span<std::byte> Executor::scratch(const Step& step) {
  if (lane_) return {workspace_.view().data, workspace_.bytes()};
  return {arena_.view().data + step.scratch_offset, step.kernel.workspace};
}

void Executor::launch_step(Binding& binding, size_t s) {
  const Step& step = plan_->steps[s];
  const Inputs inputs = binding.step_inputs(s);
  const Outputs outputs = binding.step_outputs(s);
  switch (step.kind) {
    case StepKind::kHost:
      return step.kernel.run({.threads = plan_->options.threads,
                              .communicator = options_.communicator,
                              .workspace = scratch(step)},
                             inputs, outputs);
    case StepKind::kDynamic:
      return dynamic_->run(s, inputs, {.threads = plan_->options.threads, .communicator = options_.communicator}, stop_);
    case StepKind::kDevice:
      return step.kernel.run(
          {.cuda = lane_->session(), .communicator = options_.communicator, .workspace = lane_->workspace()}, inputs, outputs);
    case StepKind::kCopyToDevice:
      if (inputs[0].bytes()) lane_->stream().copy_to_device(outputs[0].data, inputs[0].data, inputs[0].bytes());
      return;
    case StepKind::kCopyToHost:
      if (inputs[0].bytes()) lane_->stream().copy_to_host(outputs[0].data, inputs[0].data, inputs[0].bytes());
      return;
    case StepKind::kView:
    case StepKind::kFeed: return;
  }
}

int64_t Executor::dynamic_peak_bytes() const {
  int64_t bytes = dynamic_ ? dynamic_->peak_bytes() : 0;
  if (unbounded_) bytes += unbounded_->plan_->peak_bytes() - unbounded_->plan_->host.constants + unbounded_->dynamic_peak_bytes();
  return bytes;
}

std::string Executor::capture_report() const {
  if (!lane_) return "not captured: it runs on the CPU";
  if (!options_.capture) return "not captured: capture is off";
  if (options_.profiler) return "not captured: it is profiled";
  if (!not_captured_.empty()) return "not captured: " + not_captured_;
  if (captured_graphs_ == 0) return "not captured yet: the second run with the same shapes is";
  int64_t nodes = 0;
  for (const auto& binding : bindings_)
    for (const auto& graph : binding->captured)
      if (graph) nodes += graph->nodes();
  return "captured: " + std::to_string(captured_graphs_) + (captured_graphs_ == 1 ? " graph, " : " graphs, ") + std::to_string(nodes) +
         " nodes";
}

}  // namespace tandem
