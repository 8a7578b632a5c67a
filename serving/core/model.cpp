#include "serving/core/model.h"

#include <algorithm>
#include <set>

#include "kernels/base/error.h"
#include "runtime/device/device_text.h"

namespace tandem {
namespace {

// Exporters often leave the batch unnamed. If no input names its first dimension and none fixes it, it is the batch in all of
// them.
void share_batch_symbol(Graph& graph) {
  const auto unnamed = [&](ValueId id) {
    const std::optional<Dims>& dims = graph.value(id).type.dims;
    return dims && !dims->empty() && dims->front() == Dim();
  };
  if (!std::ranges::all_of(graph.inputs, unnamed)) return;
  for (ValueId id : graph.inputs) graph.value(id).type.dims->front().symbol = "batch";
}

}  // namespace

Model::Model(std::string name, int64_t version, Graph graph, const ModelOptions& options)
    : name_(std::move(name)), version_(version), options_(options) {
  share_batch_symbol(graph);
  if (const int64_t own = options_.config.max_batch_size.value_or(0); own > 0 && own < options_.max_batch) {
    options_.max_batch = own;
    max_batch_flag_ = "max_batch_size of its config.pbtxt";
  }
  plan_for_host(options_.device.device ? graph : std::move(graph));  // alone: what is packed is let go of one by one
  if (options_.device.device)
    plan_for_device(graph);  // not the host plan's: that one is written for kernels of the CPU, which hold its weights
  else if (!options_.device.problem.empty())
    fall_back("cannot be served from a GPU", Error(ErrorCode::kUnavailable, options_.device.problem));
  const std::shared_ptr<const Plan> plan = plans().plan();
  hold(*plan);
  signature_ = signature_of(plan->graph);
  categories_ = Categories::of(plan->graph);
  configure();
  make_ready();
  if (!host_ && options_.device.log)
    options_.device.log(title() + ", can only be served from the GPU, so nothing answers should that fail: " + host_problem_);
}

ModelMemory Model::memory_of(const Plan& plan) const {
  constexpr int64_t kLeastShared = 4096;  // bytes; what is smaller counts as the model's own
  ModelMemory memory;
  std::set<const std::byte*> seen;
  const auto add = [&](int64_t& kind, const std::byte* data, size_t size) {
    if (size == 0 || !seen.insert(data).second) return;
    const auto bytes = static_cast<int64_t>(size);
    kind += bytes;
    if (bytes < kLeastShared)
      memory.own += bytes;
    else
      memory.shared.push_back({data, bytes});
  };
  for (const Value& value : plan.graph.values)
    if (value.kind == ValueKind::kConstant && value.data) add(memory.need.weights, value.data.view().data, value.data.bytes());
  if (plan.packs)
    for (const std::span<const std::byte> run : plan.packs->runs()) add(memory.need.packed, run.data(), run.size());
  memory.need.lane = plan.host.arena + plan.host.workspace + plan.host.states + 2 * plan.host.feeds;
  memory.need.lanes = options_.lanes;
  memory.own += memory.need.lane * options_.lanes;
  return memory;
}

void Model::hold(const Plan& plan) {
  if (!options_.budget) return;
  if (!hold_) hold_ = std::make_unique<MemoryHold>(*options_.budget, title());
  ModelMemory memory = memory_of(plan);
  hold_->resize(std::move(memory.shared), memory.own);
}

void Model::set_lanes(int lanes, int threads) {
  ensure(host_ && !device_, "only lanes of the CPU are divided anew");
  if (options_.lanes == lanes && options_.threads == threads) return;
  options_.lanes = lanes;
  options_.threads = threads;
  host_->set_lanes(lanes, threads);
  hold(*host_->plan());
  if (!names_instances_) options_.config.instances.front().count = lanes;
}

void Model::configure() {
  names_instances_ = !options_.config.instances.empty();
  try {
    complete_model_config(options_.config, {name_, signature_, max_batch(), options_.lanes});
  } catch (const Error& error) {
    throw Error(error.code(), std::string("config.pbtxt, ") + error.what());
  }
}

ServingConfig Model::config() const {
  ServingConfig config = options_.config;
  const bool on_device = device().on_device;
  for (InstanceGroup& group : config.instances)
    group.kind = on_device ? InstanceGroup::Kind::kGpu : InstanceGroup::Kind::kCpu;
  if (!on_device || ready_batch_sizes_.empty()) return config;
  config.cuda_graphs = true;
  config.graph_sizes = ready_batch_sizes_;
  return config;
}

std::string Model::title() const { return "model '" + name_ + "', version " + std::to_string(version_); }

// A GPU may run what the CPU cannot: a model that is larger than the host may hold.
void Model::plan_for_host(Graph graph) {
  try {
    LanePlansOptions options = lane_options();
    options.plan.packs = options_.packs;
    host_ = std::make_unique<LanePlans>(std::move(graph), signature_, std::move(options));
  } catch (const Error& error) {
    if (!options_.device.device) throw;
    host_problem_ = error.what();
  }
}

LanePlansOptions Model::lane_options() {
  LanePlansOptions options;
  options.plan.threads = options_.threads;
  options.plan.default_bound = std::min(options_.batch, options_.max_batch);
  options.plan.memory_limit = options_.memory_limit;
  options.plan.fast_math = options_.device.fast_math;
  options.plan.tuning = options_.device.tuning;
  options.plan.precision = options_.device.precision;
  options.lanes = options_.lanes;
  options.admit = [this](const Plan& plan) { hold(plan); };
  options.limit = [this](std::string_view symbol) { return limit_of(symbol); };
  return options;
}

void Model::plan_for_device(const Graph& graph) {
  LanePlansOptions options = lane_options();
  options.device = options_.device.device;
  options.admit = {};  // its memory is the GPU's, which answers for itself
  options.fast_math = options_.device.fast_math;
  options.plan.target = Space::kDevice;
  options.plan.precision = DType::kF32;  // that of the graph
  options.plan.strict_device = options_.device.strict;
  try {
    options.plan.device_memory_limit = options.device->free_bytes();
    device_ = std::make_unique<LanePlans>(graph, signature_, std::move(options));
  } catch (const Error& error) {
    not_from_device(error);
  }
}

// What went wrong while the model was loaded: the CPU takes over, or the model is refused.
void Model::not_from_device(const Error& error) {
  if (!host_ && host_problem_ != error.what())
    throw Error(error.code(), std::string(error.what()) + "; nor can the CPU serve it: " + host_problem_);
  if (!may_fall_back()) throw Error(error.code(), error.what());
  if (error.code() == ErrorCode::kDevice) ++device_errors_;
  fall_back("cannot be served from the GPU", error);
}

// A failure of the GPU here is as one while planning. What only makes first requests slower is told.
void Model::make_ready() {
  const std::vector<int64_t> sizes =
      sizes_to_make_ready(options_.batch_sizes, signature_, std::min(options_.batch, options_.max_batch), options_.max_batch);
  if (!device_ || sizes.empty()) return;
  std::string problem;
  if (const auto open = open_dimension(signature_)) {
    if (options_.batch_sizes && options_.batch_sizes->by_model) problem = "dimension '" + *open + "' has no fixed size";
  } else {
    try {
      device_->make_ready(sizes);
      ready_batch_sizes_ = sizes;
      problem = device_->not_captured();
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kDevice || error.code() == ErrorCode::kOutOfMemory) {
        not_from_device(error);
        device_.reset();
      } else {  // an op that refuses zeros
        problem = error.what();
      }
    }
  }
  if (!problem.empty() && options_.device.log)
    options_.device.log(title() + ", has no captured graphs for its batch sizes, and runs from the GPU without: " + problem);
}

// Told once, however many lanes meet the failure.
void Model::fall_back(std::string_view what, const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (fallen_back_) return;
    problem_ = error.what();
    fallen_back_ = true;
  }
  if (!options_.device.log) return;
  options_.device.log(title() + ", " + std::string(what) + ": " + error.what() +
                      (may_fall_back() ? "; the CPU answers from now on" : "; it is not served any more: " + why_no_fallback()));
}

std::string Model::why_no_fallback() const {
  return host_ ? "--strict-device forbids the CPU" : "the CPU cannot serve it: " + host_problem_;
}

// Told once: it would be the same for every such request.
void Model::tell_too_large(const Error& error) {
  if (told_too_large_.exchange(true) || !options_.device.log) return;
  options_.device.log(title() + ", lacked memory on the GPU for a request: " + error.what() +
                      (may_fall_back() ? "; the CPU answers it, and others like it" : "; it is refused, and others like it"));
}

ModelDevice Model::device() const {
  ModelDevice device;
  if (options_.device.device) device.asked = device_text(options_.device.device.get());
  device.on_device = device_ && !fallen_back_;
  device.errors = device_errors_;
  if (device.on_device) {
    device.captured_graphs = device_->captured_graphs();
    device.not_captured = device_->not_captured();
  }
  const std::lock_guard lock(mutex_);
  device.problem = problem_;
  return device;
}

int64_t Model::limit_of(std::string_view symbol) const {
  return symbol == signature_.batch_symbol ? options_.max_batch : options_.max_dimension;
}

void Model::check_limits(std::span<const ConstTensorView> inputs) const {
  visit_symbols(signature_, inputs, [&](const std::string& symbol, int64_t size) {
    if (size <= limit_of(symbol)) return;
    require(symbol != signature_.batch_symbol,
            "inference request batch-size must be <= " + std::to_string(options_.max_batch) + " for '" + name_ + "' (" +
                max_batch_flag_ + ")",
            size);
    require(false, "dimension '" + symbol + "' must be <= " + std::to_string(options_.max_dimension) + " for '" + name_ +
                       "' (the server's --max-dimension)",
            size);
  });
}

std::span<const ConstTensorView> Model::run(int lane, std::span<const ConstTensorView> inputs, const StopCheck& stop) {
  check_limits(inputs);
  if (device_ && !fallen_back_) {
    try {
      return device_->run(lane, inputs, stop);
    } catch (const Error& error) {
      // Anything else is the request's own fault, and the CPU would say the same.
      if (error.code() != ErrorCode::kDevice && error.code() != ErrorCode::kOutOfMemory) throw;
      ++device_errors_;
      if (error.code() == ErrorCode::kOutOfMemory) {
        tell_too_large(error);
        if (!may_fall_back()) throw;
        return host_->run(lane, inputs, stop);
      }
      fall_back("failed on the GPU", error);
    }
  }
  check(usable(), ErrorCode::kUnavailable, "model '" + name_ + "' is not ready: the GPU failed, and " + why_no_fallback());
  if (device_) device_->drop(lane);
  return host_->run(lane, inputs, stop);
}

}  // namespace tandem
