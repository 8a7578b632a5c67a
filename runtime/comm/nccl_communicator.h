// A rank of NCCL's group. Calls return at once (NCCL's non-blocking mode), so that every wait has the group's deadline.
#pragma once

#include <exception>
#include <optional>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/cuda/library/nccl.h"
#include "runtime/comm/device_communicator.h"

namespace tandem {

class NcclCommunicator final : public DeviceCommunicator {
 public:
  // All ranks, with the id that one of them made. Throws as DeviceCommunicator says.
  NcclCommunicator(const cuda::Nccl& library, Communicator& ranks, std::shared_ptr<Device> device,
                   const cuda::Nccl::UniqueId& id);
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  // An id for a group of `ranks`, made by one of them.
  static cuda::Nccl::UniqueId make_id(const cuda::Nccl& library, const Communicator& ranks);

  int rank() const override { return ranks_.rank(); }
  int size() const override { return ranks_.size(); }
  std::string description() const override;
  void begin_all_reduce(TensorView values, void* stream, std::string_view bucket) override;
  void wait(const std::byte* values, void* stream) override;
  void broadcast(TensorView values, int root, void* stream) override;
  void all_gather(ConstTensorView part, TensorView whole, void* stream) override;
  void synchronize(void* stream) override;

 private:
  // What an error names.
  struct Place {
    std::string_view collective, call, bucket = {};
  };
  // A collective that somebody will wait for, known by the memory that it was given.
  struct Begun {
    const std::byte* values;
    std::unique_ptr<Event> done;
  };
  template <class Call>
  void enqueue(const Place& place, const std::byte* values, void* stream, Call call);
  Begun& begun(const std::byte* values);
  void settle(int status, const Place& place);
  int asynchronous_status();
  void look_after(const Place& place, std::string& lost);
  void refuse_if_failed() const;
  void give_up_after(std::chrono::steady_clock::time_point end, const Place& place);
  [[noreturn]] void give_up(ErrorCode code, const Place& place, const std::string& what);
  void close() noexcept;

  const cuda::Nccl& library_;
  Communicator& ranks_;
  std::shared_ptr<Device> device_;
  cuda::Nccl::Communicator nccl_ = nullptr;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Event> ready_;
  std::vector<Begun> begun_;
  std::optional<Error> failure_;
  const int exceptions_ = std::uncaught_exceptions();  // when it was made
};

}  // namespace tandem
