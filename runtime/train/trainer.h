// One training job on this rank: the step's plans, the states they share, and the counters.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/exec/executor.h"
#include "runtime/train/step_graph.h"

namespace tandem {

// Tensors by the name of the graph input they are for.
using Feed = std::map<std::string, Tensor, std::less<>>;

class Trainer {
 public:
  struct Options {
    int64_t micro_batch = 64;      // rows of one micro-batch
    int64_t evaluation_batch = 0;  // rows that are evaluated at once, at most; 0: those of a micro-batch
    int threads = 1;
    Communicator* communicator = nullptr;  // null: one rank
    Profiler* profiler = nullptr;
    std::shared_ptr<Device> device = {};  // null: the CPU
    bool strict_device = false;           // as in PlanOptions
    bool fast_math = false;               // as in ExecutorOptions, on the CPU as in PlanOptions
  };
  struct Step {
    double loss = 0;  // mean over the micro-batches of this rank
    double learning_rate = 0;
    double gradient_norm = 0;  // 0 without clipping
  };

  Trainer(const Network& network, const StepConfig& config, const Options& options);

  // One optimizer step. `feed(m)` gives micro-batch number m of the whole run: in step s rank r reads the numbers
  // (s * world + r) * accumulate + 0, 1, ... On a GPU the one after the last of this step is asked for too, and travels while the GPU
  // works. What a feed returns is used until the next call. Throws what the kernels and the communicator throw.
  Step step(const std::function<const Feed&(int64_t)>& feed);

  // Gives back what only steps need. Before DeviceCommunicator goes while the trainer stays: its collectives may be captured here.
  // REQUIRES: no step(), update_plan() or capture_report() follows.
  void end_steps();

  int64_t steps_done();
  // Whoever asks may change them.
  StateStore& states();
  const StepGraphs& graphs() const { return graphs_; }
  const Plan& update_plan() const { return update_->plan(); }
  std::string capture_report() const { return update_->capture_report(); }  // of the optimizer step's plan
  // The network in inference form over the current parameters.
  Executor& evaluator() { return *evaluate_; }
  // The network with its parameters and statistics as they are now.
  Network trained() const;

 private:
  Executor& executor_of(int64_t micro_batch);
  void prefetch(const std::function<const Feed&(int64_t)>& feed, int64_t micro_batch);
  void prefetch_ahead(const std::function<const Feed&(int64_t)>& feed, int64_t micro_batch);

  const Network network_;
  const StepConfig config_;
  StepGraphs graphs_;
  std::shared_ptr<StateStore> states_ = std::make_shared<StateStore>();
  std::unique_ptr<Executor> first_, middle_, update_, evaluate_;
  int rank_ = 0;
  bool on_device_ = false;
  int64_t prefetched_ = -1;       // the micro-batch that has been fed already
  int64_t steps_done_ = -1;       // -1: to be read from the states
  Feed fed_;                      // its tensors: what the host reads of them is read when it starts
  Tensor micro_batch_ = Tensor::scalar<int64_t>(0);
};

// The feed's tensors in the order of the graph's inputs. Throws InvalidArgument naming an input that the feed lacks.
std::vector<ConstTensorView> inputs_of(const Graph& graph, const Feed& feed);

// Runs a plan on named inputs; views as of Executor::run. Throws InvalidArgument naming an input that the feed lacks.
std::span<const ConstTensorView> run_feed(Executor& executor, const Feed& feed);

}  // namespace tandem
