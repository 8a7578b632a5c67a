#include "serving/grpc/call_queue-inl.h"

#include <pthread.h>

#include <utility>

namespace tandem::grpc_detail {

// No call is left that could start an operation.
CallQueue::~CallQueue() {
  queue_->Shutdown();
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  thread_.join();
}

void CallQueue::start() {
  thread_ = std::thread([this] { work(); });
  ::pthread_setname_np(thread_.native_handle(), "grpc");
}

void CallQueue::work() {
  Event* event = nullptr;
  for (bool ok = false; next(event, ok);) event->happened(ok);
}

bool CallQueue::next(Event*& event, bool& ok) {
  void* tag = nullptr;  // written, too, for what gRPC keeps to itself: only the answer tells whether it is an event of ours
  bool is_event = false;
  while (!is_event && !put_off_.empty()) {
    is_event = queue_->AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC)) == grpc::CompletionQueue::GOT_EVENT;
    if (!is_event)
      for (const auto& work : std::exchange(put_off_, {})) work();
  }
  if (!is_event && !queue_->Next(&tag, &ok)) return false;
  event = static_cast<Event*>(tag);
  return true;
}

}  // namespace tandem::grpc_detail
