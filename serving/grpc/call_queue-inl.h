// One thread of gRPC's: it reads from the sockets, and is told what has happened to calls.
//
// gRPC's own threads for callbacks were measured to do a fifth less: two that hand the sockets to each other, and a third that ends calls.
// With one that does it all, what came at once can be brought first and be run then (RunLater), as over HTTP.
#pragma once

#include <grpcpp/completion_queue.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "serving/batching/run_later.h"

namespace tandem::grpc_detail {

// What the queue's tags are: what is to be told when an operation has ended.
class Event {
 public:
  virtual void happened(bool ok) = 0;
  void* tag() { return this; }

 protected:
  ~Event() = default;
};

// A member function of a call as an event.
template <class Call>
class EventOf final : public Event {
 public:
  EventOf(Call& call, void (Call::*then)(bool ok)) : call_(call), then_(then) {}
  void happened(bool ok) override { (call_.*then_)(ok); }

 private:
  Call& call_;
  void (Call::*then_)(bool ok);
};

// Ends after its server has shut down and before the server is gone: the last events ask it.
class CallQueue {
 public:
  explicit CallQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue) : queue_(std::move(queue)) {}
  CallQueue(const CallQueue&) = delete;
  ~CallQueue();

  grpc::ServerCompletionQueue* get() const { return queue_.get(); }
  const RunLater& run_later() const { return run_later_; }
  // Calls may wait for clients in the queue already.
  void start();

 private:
  void work();
  bool next(Event*& event, bool& ok);

  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::vector<std::function<void()>> put_off_;  // behind all events that are ready now
  const RunLater run_later_ = [this](std::function<void()> work) { put_off_.push_back(std::move(work)); };
  std::thread thread_;
};

}  // namespace tandem::grpc_detail
