#include "serving/grpc/health_service-inl.h"

#include <grpcpp/alarm.h>

#include <atomic>
#include <chrono>
#include <mutex>

#include "serving/grpc/call_bytes-inl.h"

namespace tandem::grpc_detail {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr std::chrono::milliseconds kLookEvery{500};

}  // namespace

// At any time there is one of: a write, an alarm that is set, the end.
class HealthService::Watcher final : public WatchCall, public OpenStream {
 public:
  Watcher(CallQueue& queue, HealthService& service) : WatchCall(queue), service_(service) {
    service_.RequestWatch(&context_, &request_, &writer_, queue_.get(), queue_.get(), accepted_.tag());
  }

  void drain() override { end(); }

 private:
  void listen() override { new Watcher(queue_, service_); }
  void on_begun() override {
    HealthCheckRequest request;
    try {
      read_message(request_, service_.limits_, request);
      name_ = request.service();
    } catch (...) {
      return finish(status_of(std::current_exception()));
    }
    service_.streams_.add(*this);
    step();
  }
  void on_written(bool ok) override {
    if (!ok) ended_ = true;
    step();
  }
  void on_cancelled() override { end(); }
  void on_end() override {
    service_.streams_.remove(*this);
    delete this;
  }

  void end() {
    ended_ = true;
    const std::lock_guard lock(mutex_);
    if (alarm_) alarm_->Cancel();  // its callback comes at once, and finishes
  }

  void step() {
    const HealthStatus status = service_.look_(name_).value_or(HealthCheckResponse::SERVICE_UNKNOWN);
    if (status != told_) {
      told_ = status;
      HealthCheckResponse response;
      response.set_status(status);
      return start_write(bytes_of(response.SerializeAsString()));
    }
    if (ended_) return finish(grpc::Status::OK);
    const std::lock_guard lock(mutex_);
    alarm_ = std::make_unique<grpc::Alarm>();  // a new one: this may run in the callback of the last
    alarm_->Set(std::chrono::system_clock::now() + (ended_ ? std::chrono::milliseconds(0) : kLookEvery), [this](bool) { step(); });
  }

  HealthService& service_;
  std::string name_;
  std::optional<HealthStatus> told_;
  std::atomic<bool> ended_{false};
  std::mutex mutex_;  // of the alarm
  std::unique_ptr<grpc::Alarm> alarm_;
};

void HealthService::check(UnaryCall& call) const {
  HealthCheckRequest request;
  try {
    read_message(call.request(), limits_, request);
  } catch (...) {
    return call.finish(status_of(std::current_exception()));
  }
  const std::optional<HealthStatus> status = look_(request.service());
  if (!status) return call.finish({grpc::NOT_FOUND, "there is no such service or model"});
  HealthCheckResponse response;
  response.set_status(*status);
  call.finish(grpc::Status::OK, bytes_of(response.SerializeAsString()));
}

void HealthService::listen(CallQueue& queue) {
  UnaryCall::listen(queue, check_);
  new Watcher(queue, *this);
}

}  // namespace tandem::grpc_detail
