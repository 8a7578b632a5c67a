// The calls that stay open until the client ends them, so that a server that stops can end them itself.
#pragma once

#include <mutex>
#include <set>

namespace tandem::grpc_detail {

class OpenStream {
 public:
  virtual ~OpenStream() = default;
  // The server stops: end as soon as what was begun is answered.
  virtual void drain() = 0;
};

class OpenStreams {
 public:
  // A stream that comes while the server stops is drained at once.
  void add(OpenStream& stream) {
    const std::lock_guard lock(mutex_);
    streams_.insert(&stream);
    if (draining_) stream.drain();
  }
  // Waits for a drain() of it that is under way; to be called before the stream goes.
  void remove(OpenStream& stream) {
    const std::lock_guard lock(mutex_);
    streams_.erase(&stream);
  }
  void drain() {
    const std::lock_guard lock(mutex_);
    draining_ = true;
    for (OpenStream* stream : streams_) stream->drain();
  }

 private:
  std::mutex mutex_;
  std::set<OpenStream*> streams_;
  bool draining_ = false;
};

}  // namespace tandem::grpc_detail
