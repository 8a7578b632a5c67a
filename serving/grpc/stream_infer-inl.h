// ModelStreamInfer: requests come and are answered in their order, many at a time; one that fails says so and the stream goes on.
//
// With the metadata `triton_grpc_error: true` the first failure ends the stream with its status instead. The stream's state is behind one
// mutex; gRPC is called outside of it, and nothing of the stream is touched after Finish, since it may be gone by then.
#pragma once

#include <deque>
#include <functional>
#include <mutex>

#include "serving/grpc/inference-inl.h"
#include "serving/grpc/open_streams-inl.h"
#include "serving/grpc/server_calls-inl.h"

namespace tandem::grpc_detail {

class StreamInfer final : public BidiCall, public OpenStream {
 public:
  // What a stream needs; outlives the server.
  struct Method {
    std::function<void(grpc::ServerContext* context, grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>* stream,
                       grpc::ServerCompletionQueue* queue, void* tag)>
        await;
    const Backend& backend;
    const Limits& limits;
    OpenStreams& streams;
  };
  static void listen(CallQueue& queue, const Method& method) { new StreamInfer(queue, method); }
  void drain() override;

 private:
  StreamInfer(CallQueue& queue, const Method& method) : BidiCall(queue), method_(method) {
    method_.await(&context_, &stream_, queue_.get(), accepted_.tag());
  }
  void listen() override { listen(queue_, method_); }
  void on_begun() override;
  void on_read(bool ok) override;
  void on_written(bool ok) override;
  void on_cancelled() override;
  void on_end() override;

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

  const Method& method_;
  std::string peer_;
  bool ends_at_error_ = false;
  grpc::ByteBuffer request_;

  std::mutex mutex_;  // of all below
  std::deque<std::shared_ptr<Slot>> slots_;
  grpc::Status status_;
  bool reading_ = false, reads_ended_ = false, writing_ = false, broken_ = false, finished_ = false;
};

}  // namespace tandem::grpc_detail
