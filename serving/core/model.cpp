#include "serving/core/model.h"

#include <algorithm>
#include <bit>

#include "kernels/base/error.h"

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

// Calls visit(symbol, size) for every symbolic dimension.
template <class F>
void visit_symbols(const Signature& signature, std::span<const ConstTensorView> inputs, F&& visit) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Dims& dims = signature.inputs[i].dims;
    for (size_t axis = 0; axis < dims.size(); ++axis)
      if (!dims[axis].symbol.empty()) visit(dims[axis].symbol, inputs[i].shape[static_cast<int>(axis)]);
  }
}

}  // namespace

Model::Model(std::string name, int64_t version, Graph graph, const ModelOptions& options)
    : name_(std::move(name)), version_(version), options_(options), executors_(static_cast<size_t>(options.lanes)) {
  share_batch_symbol(graph);
  PlanOptions plan;
  plan.threads = options.threads;
  plan.default_bound = std::min(options.batch, options.max_batch);
  plan.memory_limit = options.memory_limit;
  plan_ = make_plan(std::move(graph), plan);
  signature_ = signature_of(plan_->graph);
  categories_ = Categories::of(plan_->graph);
}

int64_t Model::peak_bytes() const {
  const std::lock_guard lock(mutex_);
  return plan_->peak_bytes();
}

int64_t Model::limit_of(std::string_view symbol) const {
  return symbol == signature_.batch_symbol ? options_.max_batch : options_.max_dimension;
}

void Model::check_limits(std::span<const ConstTensorView> inputs) const {
  visit_symbols(signature_, inputs, [&](const std::string& symbol, int64_t size) {
    if (size <= limit_of(symbol)) return;
    require(symbol != signature_.batch_symbol,
            "inference request batch-size must be <= " + std::to_string(options_.max_batch) + " for '" + name_ +
                "' (the server's --max-batch)",
            size);
    require(false, "dimension '" + symbol + "' must be <= " + std::to_string(options_.max_dimension) + " for '" + name_ + "'",
            size);
  });
}

Model::Sizes Model::sizes_of(std::span<const ConstTensorView> inputs) const {
  Sizes sizes;
  visit_symbols(signature_, inputs, [&](const std::string& symbol, int64_t size) {
    int64_t& largest = sizes[symbol];
    largest = std::max(largest, size);
  });
  return sizes;
}

bool Model::covers(const Plan& plan, std::span<const ConstTensorView> inputs) const {
  bool covered = true;
  visit_symbols(signature_, inputs, [&](const std::string& symbol, int64_t size) {
    const auto bound = plan.bounds.find(symbol);
    covered = covered && (bound == plan.bounds.end() || size <= bound->second);
  });
  return covered;
}

std::shared_ptr<const Plan> Model::plan_covering(std::span<const ConstTensorView> inputs) {
  const std::lock_guard lock(mutex_);
  if (covers(*plan_, inputs)) return plan_;
  check_limits(inputs);
  PlanOptions options = plan_->options;
  options.bounds = plan_->bounds;
  for (const auto& [symbol, size] : sizes_of(inputs)) {
    int64_t& bound = options.bounds[symbol];
    if (size > bound) bound = std::min(static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(size))), limit_of(symbol));
  }
  return plan_ = make_plan(plan_->graph, options);
}

std::span<const ConstTensorView> Model::run(int lane, std::span<const ConstTensorView> inputs) {
  std::unique_ptr<Executor>& executor = executors_[static_cast<size_t>(lane)];
  if (!executor || !covers(executor->plan(), inputs)) executor = std::make_unique<Executor>(plan_covering(inputs));
  return executor->run(inputs);
}

}  // namespace tandem
