// Calls of a server, as bytes: each waits for a client, makes its successor wait when one has come, and deletes itself when it has ended.
//
// All that is told of a call is told on the thread of its queue; what it is asked to do may be asked on any.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <functional>
#include <utility>

#include "serving/grpc/call_queue-inl.h"

namespace tandem::grpc_detail {

class UnaryCall {
 public:
  using Writer = grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>;
  struct Method {
    // Has the next call of the method told as `tag`.
    std::function<void(grpc::ServerContext* context, grpc::ByteBuffer* request, Writer* writer, grpc::ServerCompletionQueue* queue, void* tag)> await;
    // Sees to it that the call is finished, now or later, on any thread.
    std::function<void(UnaryCall& call)> handle;
  };

  // `method` outlives the server.
  static void listen(CallQueue& queue, const Method& method) { new UnaryCall(queue, method); }

  grpc::ServerContext& context() { return context_; }
  const grpc::ByteBuffer& request() const { return request_; }
  const RunLater& run_later() const { return queue_.run_later(); }
  // Called at most once, and perhaps after the end, if the client goes away. To be set in `handle`.
  void when_cancelled(std::function<void()> call) { cancelled_ = std::move(call); }
  // Once. The call may be gone when it returns.
  void finish(const grpc::Status& status, const grpc::ByteBuffer& answer = {});

 private:
  UnaryCall(CallQueue& queue, const Method& method);
  void on_accepted(bool ok);
  void on_done(bool ok);
  void on_finished(bool) { leave(); }
  void leave();

  CallQueue& queue_;
  const Method& method_;
  grpc::ServerContext context_;
  grpc::ByteBuffer request_;
  Writer writer_{&context_};
  std::function<void()> cancelled_;
  int awaited_ = 2;  // of the two events that end it: gRPC's of the call, ours of its answer
  EventOf<UnaryCall> accepted_{*this, &UnaryCall::on_accepted}, done_{*this, &UnaryCall::on_done}, finished_{*this, &UnaryCall::on_finished};
};

// What calls that send many messages share: their end.
class StreamedCall {
 public:
  StreamedCall(const StreamedCall&) = delete;

 protected:
  explicit StreamedCall(CallQueue& queue) : queue_(queue) { context_.AsyncNotifyWhenDone(done_.tag()); }
  virtual ~StreamedCall() = default;

  virtual void on_begun() = 0;  // a client has come: start something
  virtual void on_read(bool) {}
  virtual void on_written(bool ok) = 0;  // to the client; false: it will get no more
  virtual void on_cancelled() = 0;      // at any time after on_begun
  virtual void on_end() = 0;             // nothing more will be told; deletes the call
  virtual void listen() = 0;             // for the next client

  void* started(EventOf<StreamedCall>& event) {
    ++awaited_;
    return event.tag();
  }

  CallQueue& queue_;
  grpc::ServerContext context_;
  EventOf<StreamedCall> accepted_{*this, &StreamedCall::accepted}, done_{*this, &StreamedCall::done}, read_{*this, &StreamedCall::read},
      written_{*this, &StreamedCall::written}, finished_{*this, &StreamedCall::finished};

 private:
  void accepted(bool ok);
  void done(bool ok);
  void read(bool ok);
  void written(bool ok);
  void finished(bool) { leave(); }
  void leave() {
    if (--awaited_ == 0) on_end();
  }

  std::atomic<int> awaited_{2};  // events: gRPC's end of the call, our finish, and what is under way
};

// Messages both ways. One read and one write may be under way; neither is started after finish().
class BidiCall : public StreamedCall {
 protected:
  using StreamedCall::StreamedCall;
  void start_read(grpc::ByteBuffer* message) { stream_.Read(message, started(read_)); }
  void start_write(const grpc::ByteBuffer& message) { stream_.Write(message, started(written_)); }
  void finish(const grpc::Status& status) { stream_.Finish(status, finished_.tag()); }

  grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> stream_{&context_};
};

// One message in, many out.
class WatchCall : public StreamedCall {
 protected:
  using StreamedCall::StreamedCall;
  void start_write(const grpc::ByteBuffer& message) { writer_.Write(message, started(written_)); }
  void finish(const grpc::Status& status) { writer_.Finish(status, finished_.tag()); }

  grpc::ByteBuffer request_;
  grpc::ServerAsyncWriter<grpc::ByteBuffer> writer_{&context_};
};

}  // namespace tandem::grpc_detail
