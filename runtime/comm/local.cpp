// The group of one rank.
#include <mutex>
#include <optional>

#include "kernels/base/error.h"
#include "runtime/comm/communicator.h"

namespace tandem {
namespace {

class LocalCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::chrono::milliseconds deadline() const override { return CommunicatorOptions{}.deadline; }
  void set_step(int64_t) override {}
  Handle begin_all_reduce(std::span<float>, std::string_view) override {
    check_open();
    return issued_++;
  }
  void wait(Handle handle) override {
    require(handle >= 0 && handle < issued_, "[wait] no such collective", handle);
    check_open();
  }
  void broadcast(std::span<std::byte>, int root) override {
    require(root == 0, "[broadcast] no such rank", root);
    check_open();
  }
  std::vector<std::string> all_gather(std::string_view blob) override {
    check_open();
    return {std::string(blob)};
  }
  void barrier() override { check_open(); }
  void abort(std::string_view reason) noexcept override {
    const std::lock_guard lock(mutex_);
    if (!reason_) reason_ = std::string(reason);
  }
  std::string lost() const override {
    const std::lock_guard lock(mutex_);
    return reason_ ? "rank 0 aborted: " + *reason_ : "";
  }

 private:
  void check_open() {
    const std::lock_guard lock(mutex_);
    if (reason_) fail(ErrorCode::kUnavailable, "rank 0 aborted", {*reason_});
  }

  Handle issued_ = 0;
  mutable std::mutex mutex_;
  std::optional<std::string> reason_;
};

}  // namespace

std::unique_ptr<Communicator> make_local_communicator() { return std::make_unique<LocalCommunicator>(); }

}  // namespace tandem
