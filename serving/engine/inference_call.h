// One inference request between a front end and a lane: tensors that fit the model's signature, and whom to tell.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/graph/tensor.h"
#include "serving/batching/queued_request.h"

namespace tandem {

class ServedModel;

// How a request was run, for those who ask why it took as long as it did.
struct RunRecord {
  Clock::TimePoint begun{};  // its batch
  int lane = 0;
  int64_t batch_rows = 0, first_row = 0;  // of the batch, and where the request's own begin
  int lanes = 1;                          // that the batch had, from `lane` on
};

class InferenceCall final : public QueuedRequest {
 public:
  // The outputs, in the order of the signature, stand while it runs. On a lane's thread. What it throws goes to Failed.
  using Answered = std::function<void(std::span<const ConstTensorView> outputs, const RunRecord& record)>;
  using Failed = std::function<void(const std::exception_ptr& thrown)>;  // on any thread

  // Exactly one of the two has the last word.
  InferenceCall(Answered answered, Failed failed) : answered_(std::move(answered)), failed_(std::move(failed)) {}

  void answer(std::span<const ConstTensorView> outputs, const RunRecord& record) const { answered_(outputs, record); }
  void fail(const std::exception_ptr& thrown) const;
  void drop(const std::exception_ptr& reason) override { fail(reason); }

  std::shared_ptr<ServedModel> model;  // stays alive until the answer is out
  std::vector<Tensor> inputs;          // in the order of the signature
  std::vector<ConstTensorView> views;  // of them; set by ServedModel
  std::optional<int64_t> length = {};  // before the inputs were padded, if they were; set by ServedModel
  Clock::TimePoint arrived{};
  std::string id = {};                 // the client's, for traces
  std::optional<uint64_t> trace = {};  // its number, if it is traced

 private:
  Answered answered_;
  Failed failed_;
};

}  // namespace tandem
