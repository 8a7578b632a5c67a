#include "serving/grpc/health_service-inl.h"

#include <grpcpp/alarm.h>

#include <atomic>
#include <chrono>
#include <mutex>

namespace tandem::grpc_detail {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr std::chrono::milliseconds kLookEvery{500};

}  // namespace

// At any time there is one of: a write, an alarm that is set, the end.
class HealthService::Watcher final : public grpc::ServerWriteReactor<HealthCheckResponse>, public OpenStream {
 public:
  Watcher(HealthService& service, std::string name) : service_(service), name_(std::move(name)) {
    step();
    service_.streams_.add(*this);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) ended_ = true;
    step();
  }
  void OnCancel() override { end(); }
  void drain() override { end(); }
  void OnDone() override {
    service_.streams_.remove(*this);
    delete this;
  }

 private:
  void end() {
    ended_ = true;
    const std::lock_guard lock(mutex_);
    if (alarm_) alarm_->Cancel();  // its callback comes at once, and finishes
  }

  void step() {
    const HealthStatus status = service_.look_(name_).value_or(HealthCheckResponse::SERVICE_UNKNOWN);
    if (status != told_) {
      told_ = status;
      response_.set_status(status);
      return StartWrite(&response_);
    }
    if (ended_) return Finish(grpc::Status::OK);
    const std::lock_guard lock(mutex_);
    alarm_ = std::make_unique<grpc::Alarm>();  // a new one: this may run in the callback of the last
    alarm_->Set(std::chrono::system_clock::now() + (ended_ ? std::chrono::milliseconds(0) : kLookEvery), [this](bool) { step(); });
  }

  HealthService& service_;
  std::string name_;
  HealthCheckResponse response_;
  std::optional<HealthStatus> told_;
  std::atomic<bool> ended_{false};
  std::mutex mutex_;  // of the alarm
  std::unique_ptr<grpc::Alarm> alarm_;
};

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context, const HealthCheckRequest* request,
                                               HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::optional<HealthStatus> status = look_(request->service());
  if (status) response->set_status(*status);
  reactor->Finish(status ? grpc::Status::OK : grpc::Status(grpc::NOT_FOUND, "there is no such service or model"));
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(grpc::CallbackServerContext*, const HealthCheckRequest* request) {
  return new Watcher(*this, request->service());
}

}  // namespace tandem::grpc_detail
