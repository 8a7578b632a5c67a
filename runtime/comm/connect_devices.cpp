// How ranks that know each other on the host find each other on their GPUs: each says what it has, all decide alike, rank 0 makes
// an id and the host's communicator carries it to the others.
#include <cuda_runtime_api.h>

#include <array>

#include "kernels/cuda/device/check.h"
#include "kernels/cuda/library/library.h"
#include "runtime/comm/nccl_communicator.h"

namespace tandem {
namespace {

constexpr char kUnable = '!';  // before what a rank lacks

// Where the GPU is plugged in: two processes may number GPUs differently.
std::string slot_of(const Device& device) {
  std::array<char, 32> slot{};
  cuda::check_cuda(cudaDeviceGetPCIBusId(slot.data(), static_cast<int>(slot.size()), device.info().ordinal),
                   "cudaDeviceGetPCIBusId");
  return slot.data();
}

std::string what_this_rank_has(const Device* device) {
  if (!device) return kUnable + std::string("it computes on the CPU");
  const cuda::LibraryStatus& status = cuda::library_status(cuda::Library::kNccl);
  return status.usable() ? slot_of(*device) : kUnable + ("NCCL is not used: " + status.problem);
}

// "" if every rank has NCCL and a GPU of its own.
std::string problem_of(const std::vector<std::string>& ranks) {
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    if (ranks[rank].starts_with(kUnable)) return "rank " + std::to_string(rank) + ": " + ranks[rank].substr(1);
    for (size_t other = 0; other < rank; ++other)
      if (ranks[other] == ranks[rank])
        return "ranks " + std::to_string(other) + " and " + std::to_string(rank) + " share a GPU, and NCCL wants one a rank";
  }
  return "";
}

}  // namespace

ConnectedDevices connect_devices(Communicator& ranks, std::shared_ptr<Device> device) {
  const std::vector<std::string> all = ranks.all_gather(what_this_rank_has(device.get()));
  if (std::string problem = problem_of(all); !problem.empty()) return {.communicator = nullptr, .problem = std::move(problem)};
  const cuda::Nccl& library = *cuda::nccl();
  cuda::Nccl::UniqueId id{};
  if (ranks.rank() == 0) id = NcclCommunicator::make_id(library, ranks);
  ranks.broadcast(std::as_writable_bytes(std::span(id.internal)), 0);
  return {.communicator = std::make_unique<NcclCommunicator>(library, ranks, std::move(device), id), .problem = {}};
}

}  // namespace tandem
