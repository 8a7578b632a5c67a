// What the clients of gRPC that put on load share: connections, requests in gRPC's form, and the events of their queue as answers.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels/base/error.h"
#include "serving/load/grpc_channel-inl.h"
#include "serving/load/load_client.h"

namespace tandem::load_detail {

inline AnswerKind kind_of(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::OK: return AnswerKind::kOk;
    case grpc::RESOURCE_EXHAUSTED:
    case grpc::UNAVAILABLE: return AnswerKind::kShed;
    case grpc::DEADLINE_EXCEEDED: return AnswerKind::kLate;
    default: return AnswerKind::kFailed;
  }
}

// "8 'mlp' is overloaded".
inline std::string text_of(const grpc::Status& status) { return std::to_string(status.error_code()) + " " + status.error_message(); }

inline std::vector<grpc::ByteBuffer> buffers_of(const std::vector<std::string>& requests) {
  std::vector<grpc::ByteBuffer> buffers;
  for (const std::string& request : requests) buffers.push_back(buffer_of(request));
  return buffers;
}

// Channels with a connection of their own each. Throws Unavailable if nobody listens there.
inline std::vector<std::shared_ptr<grpc::Channel>> connected_channels(const std::string& target, int count) {
  constexpr std::chrono::seconds kPatience{30};
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < count; ++i) {
    channels.push_back(own_channel(target));
    channels.back()->GetState(true);
  }
  for (const auto& one : channels)
    check(one->WaitForConnected(std::chrono::system_clock::now() + kPatience), ErrorCode::kUnavailable, "cannot connect to " + target);
  return channels;
}

// LoadClient::wait(): calls `take(tag, ok)` for events of the queue until one has added to `answers`, and then for those that are there too.
template <class Take>
void take_answers(grpc::CompletionQueue& queue, const Clock& clock, Clock::TimePoint from, Clock::TimePoint until,
                  const std::vector<LoadAnswer>& answers, const Take& take) {
  using std::chrono::system_clock;
  const auto gathering = from - clock.now();
  if (gathering.count() > 0) std::this_thread::sleep_for(gathering);
  void* tag = nullptr;
  bool ok = false;
  for (const size_t before = answers.size(); answers.size() == before; take(tag, ok)) {
    const auto left = std::max(Clock::TimePoint::duration::zero(), until - clock.now());
    const auto deadline = system_clock::now() + std::chrono::duration_cast<system_clock::duration>(left);
    if (queue.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return;
  }
  if (gathering.count() <= 0) return;
  while (queue.AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC)) == grpc::CompletionQueue::GOT_EVENT) take(tag, ok);
}

// Of a queue whose calls were cancelled.
inline void drain(grpc::CompletionQueue& queue) {
  queue.Shutdown();
  void* tag = nullptr;
  for (bool ok = false; queue.Next(&tag, &ok);) {
  }
}

}  // namespace tandem::load_detail
