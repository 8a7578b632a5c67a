// One version of one model, ready to run: its signature, the Plan that all lanes share and one Executor a lane.
//
// Handles are shared pointers: a request in flight keeps its model alive whatever the repository does meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "runtime/exec/executor.h"
#include "runtime/plan/plan.h"
#include "serving/core/categories.h"
#include "serving/core/signature.h"

namespace tandem {

struct ModelOptions {
  int lanes = 1;
  int threads = 1;                   // OpenMP team of a lane
  int64_t batch = 64;                // rows that memory is planned for at first
  int64_t max_batch = 1024;          // rows of one request at most (--max-batch)
  int64_t max_dimension = 65'536;    // any other symbolic dimension at most
  int64_t memory_limit = INT64_MAX;  // bytes of one plan
};

class Model {
 public:
  // `graph` as imported, after the passes. Throws what make_plan throws.
  Model(std::string name, int64_t version, Graph graph, const ModelOptions& options);

  const std::string& name() const { return name_; }
  int64_t version() const { return version_; }
  const Signature& signature() const { return signature_; }
  const Categories& categories() const { return categories_; }
  const ModelOptions& options() const { return options_; }
  // Rows of one request at most; 0 for a model without a batch dimension.
  int64_t max_batch() const { return signature_.batched ? options_.max_batch : 0; }
  int64_t peak_bytes() const;

  // Throws InvalidArgument unless every symbolic dimension of `inputs` (in the order of the signature, ranks right) is within its
  // limit. Any thread.
  void check_limits(std::span<const ConstTensorView> inputs) const;

  // Runs on the calling thread, which must be the owner of `lane`. Rows beyond the planned ones make a larger plan first.
  // The outputs, in the order of the signature, stand until the lane's next run of this model.
  std::span<const ConstTensorView> run(int lane, std::span<const ConstTensorView> inputs);

 private:
  using Sizes = std::map<std::string, int64_t, std::less<>>;  // symbol -> size

  Sizes sizes_of(std::span<const ConstTensorView> inputs) const;
  int64_t limit_of(std::string_view symbol) const;
  bool covers(const Plan& plan, std::span<const ConstTensorView> inputs) const;
  std::shared_ptr<const Plan> plan_covering(std::span<const ConstTensorView> inputs);

  std::string name_;
  int64_t version_;
  ModelOptions options_;
  Signature signature_;
  Categories categories_;
  mutable std::mutex mutex_;                          // of plan_
  std::shared_ptr<const Plan> plan_;                  // the largest made so far
  std::vector<std::unique_ptr<Executor>> executors_;  // by lane; each touched by its lane alone
};

}  // namespace tandem
