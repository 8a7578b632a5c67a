// One version of one model, ready to run: its signature, and its plans for the lanes: on the CPU, and on a GPU if it is served
// from one.
//
// A GPU that fails costs no answer: the request that meets the failure is answered by the CPU, and so are all after it. One that
// only lacks the memory for a request stays in use: the CPU answers that request alone. What the CPU cannot run (a model beyond the host's limit) is
// served from a GPU without any of that. Handles are shared pointers: a request in flight keeps its model alive whatever the
// repository does meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "serving/core/batch_sizes.h"
#include "serving/core/categories.h"
#include "serving/core/lane_plans.h"
#include "serving/core/memory_budget.h"
#include "serving/core/model_config.h"
#include "serving/core/serving_device.h"
#include "serving/core/signature.h"

namespace tandem {

struct ModelOptions {
  int lanes = 1;
  int threads = 1;                   // OpenMP team of a lane
  int64_t batch = 64;                // rows that memory is planned for at first
  int64_t max_batch = 1024;          // rows of one request at most (--max-batch)
  int64_t max_dimension = 65'536;    // any other symbolic dimension at most (--max-dimension)
  int64_t memory_limit = INT64_MAX;  // bytes of one plan
  MemoryBudget* budget = nullptr;    // of all models; null: without one. Outlives the model
  std::shared_ptr<PackedConstants> packs = {};  // of a model of the same content; null: its own
  std::optional<BatchSizes> batch_sizes = {};
  ServingDevice device = {};         // the CPU, unless told otherwise
  ServingConfig config = {};           // as its file has it
};

// What a model holds of the host's memory: storage it may share, and its own.
struct ModelMemory {
  MemoryNeed need;
  std::vector<MemoryPart> shared;
  int64_t own = 0;
};

class Model {
 public:
  // `graph` as imported, after the passes. The memory of all lanes is counted before any is taken. On a GPU, all lanes are made ready for the batch sizes. Throws what make_plan throws, and
  // InvalidArgument for wrong batch sizes, DoesNotFit; with a strict device also what the device does.
  Model(std::string name, int64_t version, Graph graph, const ModelOptions& options);

  const std::string& name() const { return name_; }
  int64_t version() const { return version_; }
  const Signature& signature() const { return signature_; }
  const Categories& categories() const { return categories_; }
  const ModelOptions& options() const { return options_; }
  // Completed by what the model is, and by where it runs now. Any thread.
  ServingConfig config() const;
  // Rows of one request at most; 0 for a model without a batch dimension.
  int64_t max_batch() const { return signature_.batched ? options_.max_batch : 0; }
  int64_t peak_bytes() const { return plans().plan()->peak_bytes(); }
  // At the sizes that it is planned for now. Any thread.
  ModelMemory memory() const { return memory_of(*plans().plan()); }
  // Any thread.
  ModelDevice device() const;
  // What it was made ready for on the GPU; 0 stands for the one shape of a model without a batch dimension.
  const std::vector<int64_t>& ready_batch_sizes() const { return ready_batch_sizes_; }
  // False once a device has failed that is strict, or alone can run the model. Any thread.
  bool usable() const { return may_fall_back() || !fallen_back_; }

  // Divides the processors anew, on the CPU alone: from now on there are so many lanes, each with a team of so many threads. Before any of them runs it for
  // requests. Throws what make_plan throws and DoesNotFit: it is then to be called again before the model is run.
  void set_lanes(int lanes, int threads);

  // Throws InvalidArgument unless every symbolic dimension of `inputs` (in the order of the signature, ranks right) is within its
  // limit. Any thread.
  void check_limits(std::span<const ConstTensorView> inputs) const;

  // Runs on the calling thread, which must be the owner of `lane`. Rows beyond the planned ones make a larger plan first.
  // The outputs, in the order of the signature, stand until the lane's next run of this model. Throws Unavailable if it
  // is not usable, OutOfMemory if the device lacks the memory for this request and the CPU may not, or cannot, answer it, Cancelled
  // if `stop` said so (as of Executor).
  std::span<const ConstTensorView> run(int lane, std::span<const ConstTensorView> inputs, const StopCheck& stop = {});

 private:
  LanePlansOptions lane_options();
  void configure();
  ModelMemory memory_of(const Plan& plan) const;
  void hold(const Plan& plan);
  std::string title() const;
  // Whether the CPU may answer for the GPU, and can.
  bool may_fall_back() const { return host_ && !options_.device.strict; }
  std::string why_no_fallback() const;
  const LanePlans& plans() const { return host_ ? *host_ : *device_; }
  void plan_for_host(Graph graph);
  void plan_for_device(const Graph& graph);
  void make_ready();
  void not_from_device(const Error& error);
  void fall_back(std::string_view what, const Error& error);
  void tell_too_large(const Error& error);
  int64_t limit_of(std::string_view symbol) const;

  std::string name_;
  int64_t version_;
  ModelOptions options_;
  bool names_instances_ = false;  // its config.pbtxt does
  std::string max_batch_flag_ = "the server's --max-batch";  // what limits the rows of a request
  Signature signature_;
  Categories categories_;
  std::vector<int64_t> ready_batch_sizes_;
  std::unique_ptr<MemoryHold> hold_;  // before what it counts: goes after it
  std::unique_ptr<LanePlans> host_, device_;  // at least one; device_: null if none was asked for, or if it could not be had
  std::string host_problem_;                  // why host_ is null
  std::atomic<bool> fallen_back_{false};
  std::atomic<int64_t> device_errors_{0};
  std::atomic<bool> told_too_large_{false};
  mutable std::mutex mutex_;  // of problem_
  std::string problem_;
};

}  // namespace tandem
