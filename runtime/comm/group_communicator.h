// A rank of a group that shares memory: collectives are queued and run strictly in the order of issue.
//
// A progress thread runs them while the issuing thread computes; a thread that waits runs them itself if the progress thread has
// not begun, which saves a switch of threads.
#pragma once

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "runtime/comm/communicator.h"
#include "runtime/comm/rendezvous.h"

namespace tandem {

class GroupCommunicator final : public Communicator {
 public:
  GroupCommunicator(std::shared_ptr<Segment> segment, int rank, const CommunicatorOptions& options,
                    std::function<bool(int)> is_alive);
  ~GroupCommunicator() override;

  int rank() const override { return rendezvous_.rank(); }
  int size() const override { return rendezvous_.size(); }
  std::chrono::milliseconds deadline() const override { return rendezvous_.deadline(); }
  void set_step(int64_t step) override;
  Handle begin_all_reduce(std::span<float> values, std::string_view bucket) override;
  void wait(Handle handle) override;
  void broadcast(std::span<std::byte> bytes, int root) override;
  std::vector<std::string> all_gather(std::string_view blob) override;
  void barrier() override;
  void abort(std::string_view reason) noexcept override;
  std::string lost() const override { return rendezvous_.lost(); }

 private:
  struct Job {
    Announcement what;
    std::byte* data = nullptr;                  // all_reduce, broadcast: what.bytes of it
    std::string_view blob;                      // all_gather
    std::vector<std::string>* blobs = nullptr;  // all_gather
  };
  using Lock = std::unique_lock<std::mutex>;

  Handle issue(Job job, std::string_view label = {});
  void advance(Lock& lock);
  void run_next(Lock& lock);
  void execute(const Job& job);
  void progress();

  Rendezvous rendezvous_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Job, 256> jobs_;  // a ring: those in [completed_, issued_) are waiting, or the first of them is running
  Handle issued_ = 0, completed_ = 0;
  bool running_ = false, stopping_ = false;
  std::optional<Error> failure_;
  int64_t step_ = -1, collective_ = 0;
  std::thread progress_;
};

}  // namespace tandem
