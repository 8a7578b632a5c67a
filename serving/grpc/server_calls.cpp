#include "serving/grpc/server_calls-inl.h"

namespace tandem::grpc_detail {

UnaryCall::UnaryCall(CallQueue& queue, const Method& method) : queue_(queue), method_(method) {
  context_.AsyncNotifyWhenDone(done_.tag());
  method_.await(&context_, &request_, &writer_, queue_.get(), accepted_.tag());
}

void UnaryCall::on_accepted(bool ok) {
  if (!ok) return delete this;  // the server ends: nothing more is told of this call
  listen(queue_, method_);
  method_.handle(*this);
}

void UnaryCall::finish(const grpc::Status& status, const grpc::ByteBuffer& answer) {
  if (status.ok())
    writer_.Finish(answer, status, finished_.tag());
  else
    writer_.FinishWithError(status, finished_.tag());
}

void UnaryCall::on_done(bool) {
  if (cancelled_ && context_.IsCancelled()) cancelled_();
  leave();
}

void UnaryCall::leave() {
  if (--awaited_ == 0) delete this;
}

void StreamedCall::accepted(bool ok) {
  if (!ok) return delete this;
  listen();
  on_begun();
}

void StreamedCall::done(bool) {
  if (context_.IsCancelled()) on_cancelled();
  leave();
}

void StreamedCall::read(bool ok) {
  on_read(ok);
  leave();
}

void StreamedCall::written(bool ok) {
  on_written(ok);
  leave();
}

}  // namespace tandem::grpc_detail
