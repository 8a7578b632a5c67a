#include "serving/grpc/stream_infer-inl.h"

#include <utility>

namespace tandem::grpc_detail {
namespace {

constexpr size_t kMostAtOnce = 256;  // requests of one stream that are not yet answered; more are not read

bool wants_status(const grpc::ServerContext& context) {
  const auto found = context.client_metadata().find("triton_grpc_error");
  return found != context.client_metadata().end() && found->second == "true";
}

}  // namespace

void StreamInfer::on_begun() {
  peer_ = context_.peer();
  ends_at_error_ = wants_status(context_);
  reading_ = true;
  start_read(&request_);
  method_.streams.add(*this);
}

void StreamInfer::on_read(bool ok) {
  if (ok) begin();
  Step step;
  {
    const std::lock_guard lock(mutex_);
    reading_ = false;
    if (!ok) reads_ended_ = true;
    step = next();
  }
  take(step);
}

void StreamInfer::begin() {
  const auto slot = std::make_shared<Slot>();
  {
    const std::lock_guard lock(mutex_);
    if (broken_ || reads_ended_) return;
    slots_.push_back(slot);
  }
  // `reading_` is set meanwhile, so the stream stays until this has returned.
  const auto call = begin_inference({method_.backend, method_.limits, peer_}, request_, context_.deadline(), AnswerForm::kStream,
                                    [this, slot](Outcome outcome) { end(slot, std::move(outcome)); });
  request_.Clear();
  const std::lock_guard lock(mutex_);
  if (!slot->ended) slot->call = call;
  if (broken_ && call) call->cancel();
}

void StreamInfer::end(const std::shared_ptr<Slot>& slot, Outcome outcome) {
  Step step;
  {
    const std::lock_guard lock(mutex_);
    slot->outcome = std::move(outcome);
    slot->ended = true;
    slot->call.reset();  // which holds the slot
    step = next();
  }
  take(step);
}

void StreamInfer::on_written(bool ok) {
  Step step;
  {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    slots_.pop_front();
    if (!ok) broken_ = true;
    step = next();
  }
  take(step);
}

void StreamInfer::on_cancelled() {
  Step step;
  {
    const std::lock_guard lock(mutex_);
    status_ = grpc::Status::CANCELLED;
    cancel_all();
    step = next();
  }
  take(step);
}

void StreamInfer::drain() {
  Step step;
  {
    const std::lock_guard lock(mutex_);
    if (!reads_ended_) status_ = {grpc::UNAVAILABLE, "the server is shutting down"};
    reads_ended_ = true;
    step = next();
  }
  take(step);
}

void StreamInfer::on_end() {
  method_.streams.remove(*this);
  delete this;
}

// The answers are not wanted any more; the calls still end one by one.
void StreamInfer::cancel_all() {
  broken_ = true;
  for (const auto& slot : slots_)
    if (slot->call && !slot->ended) slot->call->cancel();
}

StreamInfer::Step StreamInfer::next() {
  Step step;
  if (finished_) return step;
  while (!writing_ && !slots_.empty() && slots_.front()->ended) {
    const Outcome& outcome = slots_.front()->outcome;
    if (!broken_ && ends_at_error_ && !outcome.status.ok()) {
      status_ = outcome.status;
      cancel_all();
    }
    if (!broken_) {
      writing_ = true;
      step.write = &slots_.front()->outcome.answer;
    } else {
      slots_.pop_front();
    }
  }
  const bool all_ended = slots_.empty() && !writing_;
  if (all_ended && (reads_ended_ || broken_)) finished_ = step.finish = true;
  else if (!reading_ && !reads_ended_ && !broken_ && slots_.size() < kMostAtOnce) reading_ = step.read = true;
  return step;
}

void StreamInfer::take(const Step& step) {
  if (step.finish) return finish(status_);
  if (step.read) start_read(&request_);
  if (step.write) start_write(*step.write);
}

}  // namespace tandem::grpc_detail
