#include "serving/engine/served_model.h"

#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "kernels/base/program_pages.h"

namespace tandem {
namespace {

using std::chrono::nanoseconds;

FailureReason reason_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    switch (error.code()) {
      case ErrorCode::kDeadlineExceeded: return FailureReason::kTimeout;
      case ErrorCode::kCancelled: return FailureReason::kCancelled;
      case ErrorCode::kUnavailable:
      case ErrorCode::kOutOfMemory: return FailureReason::kRejected;
      case ErrorCode::kDevice:
      case ErrorCode::kInternal: return FailureReason::kInternal;
      default: return FailureReason::kInvalid;
    }
  } catch (const std::bad_alloc&) {
    return FailureReason::kRejected;
  } catch (...) {
    return FailureReason::kInternal;
  }
}

bool is_cancellation(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return error.code() == ErrorCode::kCancelled;
  } catch (...) {
    return false;
  }
}

// All axes but the batch, of all inputs.
std::vector<int64_t> shape_class_of(const std::vector<Tensor>& inputs) {
  std::vector<int64_t> sizes;
  for (const Tensor& input : inputs)
    for (int axis = 1; axis < input.shape().rank(); ++axis) sizes.push_back(input.shape()[axis]);
  return sizes;
}

// Asked between the steps of a run: one look, as long as the first request is wanted.
bool is_unwanted(std::span<const QueuedPtr> batch) {
  return std::ranges::all_of(batch, [](const QueuedPtr& request) { return request->cancelled(); });
}

// Its share of the lanes' time beside other models.
double weight_of(const ServingConfig& config) {
  const auto declared = config.parameters.find("weight");
  if (declared == config.parameters.end()) return 1;
  double weight = 0;
  const std::string& text = declared->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
  require(error == std::errc() && end == text.data() + text.size() && weight >= 0.01 && weight <= 100,
          "parameter 'weight' must be a number from 0.01 to 100", text);
  return weight;
}

std::vector<std::string> text_inputs_of(const Model& model) {
  std::vector<std::string> names;
  for (const auto& [input, known] : model.categories().by_input()) names.push_back(input);
  return names;
}

}  // namespace

// One batch on its way through a lane, with the times that are reported of it.
class ServedModel::Run {
 public:
  Run(ServedModel& served, int lane, Clock::TimePoint begun) : served_(served), lane_(lane), begun_(begun), mark_(begun) {}

  void finish_input() {
    batch_.input = since_mark();
    input_end_ = mark_;
  }
  void finish_compute() {
    batch_.infer = since_mark();
    compute_end_ = mark_;
  }

  // The rows of `call` begin at `first` of the outputs.
  void answer(const InferenceCall& call, std::span<const ConstTensorView> outputs, int64_t first, int64_t rows) {
    if (!answering_) answering_.emplace(served_.statistics_);
    try {
      std::vector<Tensor> cut;  // what outputs of padded requests are without the padding
      std::vector<ConstTensorView> own;
      if (call.length) outputs = own = served_.buckets_->cut(outputs, *call.length, cut);
      call.answer(outputs, {.begun = begun_, .lane = lane_, .batch_rows = rows, .first_row = first, .lanes = served_.batching_.lanes_per_batch});
    } catch (...) {
      return call.fail(std::current_exception());
    }
    const Clock::TimePoint now = served_.clock_.now();
    const auto seconds = [](Clock::TimePoint::duration time) { return std::chrono::duration<double>(time).count(); };
    served_.metrics_.succeed(seconds(now - call.arrived), seconds(begun_ - call.queued), call.rows);
    served_.statistics_.add_latency(now - call.arrived);
    batch_.queue += begun_ - call.queued;
    batch_.total += now - call.arrived;
    ++answered_;
    if (call.trace) trace(call, now);
  }

  void finish(int64_t rows) {
    if (answered_ == 0) return;
    batch_.output = since_mark();
    batch_.requests = answered_;
    batch_.rows = rows;
    served_.statistics_.add(batch_);
    const auto seconds = [](nanoseconds time) { return std::chrono::duration<double>(time).count(); };
    served_.metrics_.run_batch(rows, seconds(batch_.infer), seconds(mark_ - begun_));
  }

 private:
  void trace(const InferenceCall& call, Clock::TimePoint now) const {
    const auto ns = [](Clock::TimePoint time) { return nanoseconds(time.time_since_epoch()).count(); };
    const std::pair<std::string_view, int64_t> times[] = {{"REQUEST_START", ns(call.arrived)},
                                                          {"QUEUE_START", ns(call.queued)},
                                                          {"COMPUTE_START", ns(begun_)},
                                                          {"COMPUTE_INPUT_END", ns(input_end_)},
                                                          {"COMPUTE_OUTPUT_START", ns(compute_end_)},
                                                          {"COMPUTE_END", ns(now)},
                                                          {"REQUEST_END", ns(now)}};
    const Model& model = served_.model();
    served_.tracer_->write({*call.trace, model.name(), call.id, model.version(), times});
  }

  nanoseconds since_mark() {
    const Clock::TimePoint now = served_.clock_.now();
    return now - std::exchange(mark_, now);
  }

  ServedModel& served_;
  int lane_;
  Clock::TimePoint begun_, mark_, input_end_{}, compute_end_{};
  StatisticsRecorder::Batch batch_;
  std::optional<StatisticsRecorder::Answering> answering_;
  uint64_t answered_ = 0;
};

ServedModel::ServedModel(std::shared_ptr<Model> model, const BatchingOptions& batching, const ServingContext& context,
                         const BatchCost& cost)
    : model_(std::move(model)),
      batching_(batching),
      clock_(context.clock),
      metrics_(context.metrics.add_model(model_->name(), model_->version(), text_inputs_of(*model_))),
      tracer_(context.tracer),
      watch_(context.watch),
      last_used_(context.clock.now().time_since_epoch().count()),
      buffers_(static_cast<size_t>(context.lanes)) {
  if (!model_->signature().batched) batching_.max_batch_size = 1;
  const ServingConfig config = model_->config();
  if (const auto declared = config.parameters.find("length_buckets"); declared != config.parameters.end())
    buckets_.emplace(declared->second, model_->signature());
  queue_ = context.dispatcher.add(
      model_->name(), batching_,
      [this](int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun) { run(lane, batch, begun); }, weight_of(config),
      cost);
}

ServedModel::~ServedModel() {
  queue_.reset();
  model_.reset();
  malloc_trim(0);
  return_program_pages();
  gone_.set_value();
}

void InferenceCall::fail(const std::exception_ptr& thrown) const {
  model->count_failure(thrown, arrived);
  failed_(thrown);
}

void ServedModel::refuse(const std::exception_ptr& thrown, Clock::TimePoint arrived) {
  metrics_.begin();
  count_failure(thrown, arrived);
}

void ServedModel::count_failure(const std::exception_ptr& thrown, Clock::TimePoint arrived) {
  count_failure(reason_of(thrown), is_cancellation(thrown), arrived);
}

void ServedModel::count_failure(FailureReason reason, bool cancelled, Clock::TimePoint arrived) {
  metrics_.fail(reason);
  statistics_.fail(clock_.now() - arrived, cancelled);
}

std::optional<Overloaded> ServedModel::overload(Clock::TimePoint arrived) {
  std::optional<Overloaded> refusal = queue_->overload();
  if (!refusal) return refusal;
  metrics_.begin();
  count_failure(FailureReason::kRejected, false, arrived);
  last_used_.store(arrived.time_since_epoch().count(), std::memory_order_relaxed);
  return refusal;
}

void ServedModel::infer(const std::shared_ptr<InferenceCall>& call) {
  metrics_.begin();
  last_used_.store(call->arrived.time_since_epoch().count(), std::memory_order_relaxed);
  call->model = shared_from_this();
  if (tracer_) call->trace = tracer_->sample(model_->name());
  try {
    enqueue(call);
  } catch (...) {
    call->fail(std::current_exception());
  }
}

void ServedModel::enqueue(const std::shared_ptr<InferenceCall>& call) {
  const Signature& signature = model_->signature();
  if (buckets_) call->length = buckets_->pad(call->inputs);
  for (size_t i = 0; i < call->inputs.size(); ++i) {
    call->views.push_back(std::as_const(call->inputs[i]).view());
    const std::string& name = signature.inputs[i].name;
    metrics_.unknown_categories(name, model_->categories().count_unknown(name, call->views[i]));
  }
  model_->check_limits(call->views);
  if (signature.batched) call->rows = call->views[0].shape[0];
  if (batching_.max_batch_size > 1) call->shape_class = shape_class_of(call->inputs);
  queue_->submit(call);
}

void ServedModel::run(int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun) {
  const WatchedBatch watched(watch_, lane, model_->name(), clock_, batching_.lanes_per_batch);
  if (batch.size() > 1) {
    try {
      return run_together(lane, batch, begun);
    } catch (...) {  // nobody was answered: whoever is at fault fails below
    }
  }
  for (const QueuedPtr& request : batch) run_alone(lane, static_cast<const InferenceCall&>(*request), begun);
}

void ServedModel::run_together(int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun) {
  Run run(*this, lane, begun);
  int64_t rows = 0;
  for (const QueuedPtr& request : batch) rows += request->rows;
  std::vector<ConstTensorView> inputs, parts(batch.size());
  for (size_t i = 0; i < model_->signature().inputs.size(); ++i) {
    for (size_t r = 0; r < batch.size(); ++r) parts[r] = static_cast<const InferenceCall&>(*batch[r]).views[i];
    inputs.push_back(buffers_[static_cast<size_t>(lane)].joined(i, parts));
  }
  run.finish_input();
  const std::span<const ConstTensorView> outputs = model_->run(instance_of(lane), inputs, [batch] { return is_unwanted(batch); });
  for (const ConstTensorView& output : outputs)
    ensure(output.shape.rank() > 0 && output.shape[0] == rows, "an output has other rows than its batch", to_string(output.shape),
           rows);
  run.finish_compute();
  std::vector<ConstTensorView> own(outputs.size());
  int64_t first = 0;
  for (const QueuedPtr& request : batch) {
    for (size_t i = 0; i < outputs.size(); ++i) own[i] = rows_of(outputs[i], first, request->rows);
    run.answer(static_cast<const InferenceCall&>(*request), own, first, rows);
    first += request->rows;
  }
  run.finish(rows);
}

void ServedModel::run_alone(int lane, const InferenceCall& call, Clock::TimePoint begun) {
  Run run(*this, lane, begun);
  std::span<const ConstTensorView> outputs;
  try {
    run.finish_input();
    outputs = model_->run(instance_of(lane), call.views, [&call] { return call.cancelled(); });
  } catch (...) {
    return call.fail(std::current_exception());
  }
  run.finish_compute();
  run.answer(call, outputs, 0, call.rows);
  run.finish(call.rows);
}

}  // namespace tandem
