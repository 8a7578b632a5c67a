#include "serving/load/grpc_call.h"

#include <grpcpp/generic/generic_stub.h>

#include "serving/load/grpc_channel-inl.h"

namespace tandem {
namespace {

// Steps of one call, each waited for. A unary call is a stream of one message on the wire.
class Stream {
 public:
  explicit Stream(const GrpcCall& call) : stub_(load_detail::own_channel(call.target)) {
    context_.set_deadline(std::chrono::system_clock::now() + call.patience);
    for (const auto& [name, value] : call.headers) context_.AddMetadata(name, value);
    if (call.gzip) context_.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    stream_ = stub_.PrepareCall(&context_, call.path, &queue_);
    stream_->StartCall(nullptr);
    open_ = wait();
  }

  // The server may have ended the call before it has read everything: finish() tells.
  void send(const std::vector<std::string>& messages) {
    for (const std::string& message : messages) {
      if (!open_) return;
      stream_->Write(load_detail::buffer_of(message), nullptr);
      open_ = wait();
    }
    stream_->WritesDone(nullptr);
    wait();
  }

  std::vector<std::string> receive() {
    std::vector<std::string> messages;
    for (;;) {
      grpc::ByteBuffer message;
      stream_->Read(&message, nullptr);
      if (!wait()) return messages;
      messages.push_back(load_detail::bytes_of(message));
    }
  }

  grpc::Status finish() {
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    wait();
    return status;
  }

 private:
  bool wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  bool open_ = false;
};

}  // namespace

std::string inference_path(const std::string& method) { return "/inference.GRPCInferenceService/" + method; }

GrpcAnswer grpc_call(const GrpcCall& call) {
  Stream stream(call);
  stream.send(call.messages);
  GrpcAnswer answer;
  answer.messages = stream.receive();
  const grpc::Status status = stream.finish();
  answer.status = status.error_code();
  answer.text = status.error_message();
  return answer;
}

std::string grpc_exchange(const std::string& target, const std::string& method, const std::string& request) {
  const GrpcAnswer answer = grpc_call({.target = target, .path = inference_path(method), .messages = {request}});
  check(answer.status == 0 && answer.messages.size() == 1, ErrorCode::kUnavailable, target + " did not answer " + method,
        answer.text);
  return answer.messages[0];
}

}  // namespace tandem
