// ModelStreamInfer: requests come and are answered in their order, many at a time; one that fails says so and the stream goes on.
//
// With the metadata `triton_grpc_error: true` the first failure ends the stream with its status instead. The stream's state is behind one
// mutex; gRPC is called outside of it, and nothing of the stream is touched after Finish, since it may be gone by then.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <mutex>

#include "serving/grpc/inference-inl.h"
#include "serving/grpc/open_streams-inl.h"

namespace tandem::grpc_detail {

class StreamInfer final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>, public OpenStream {
 public:
  StreamInfer(const grpc::CallbackServerContext& context, const InferenceContext& inference, OpenStreams& streams);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void drain() override;

 private:
  struct Slot {  // one request
    std::shared_ptr<InferenceCall> call;  // until it has ended
    bool ended = false;
    Outcome outcome;
  };
  // What is to be done with the mutex released.
  struct Step {
    bool read = false, finish = false;
    grpc::ByteBuffer* write = nullptr;
  };
  void begin();
  void end(const std::shared_ptr<Slot>& slot, Outcome outcome);
  void cancel_all();
  Step next();
  void take(const Step& step);

  InferenceContext inference_;
  OpenStreams& streams_;
  std::chrono::system_clock::time_point deadline_;
  bool ends_at_error_ = false;
  grpc::ByteBuffer request_;

  std::mutex mutex_;  // of all below
  std::deque<std::shared_ptr<Slot>> slots_;
  grpc::Status status_;
  bool reading_ = false, reads_ended_ = false, writing_ = false, broken_ = false, finished_ = false;
};

}  // namespace tandem::grpc_detail
