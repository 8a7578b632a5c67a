// Collectives between the GPUs of a group's ranks, one GPU a rank, by NCCL: values stay in device memory.
//
// They are enqueued, not waited for, on a stream of their own, in the order of issue, which is the same on every rank: beside the
// stream that computes, and captured with it where it is captured. A sum over one or two ranks has the bits of the host's; over
// more, NCCL chooses the order: the same for the same bucket, ranks and machine.
//
// What goes wrong is thrown as Error naming collective, rank, NCCL's call and NCCL's words: "[all_reduce] rank 1 of 2:
// ncclAllReduce failed with status 2: unhandled system error (bucket 'gradients.0')": Device; Unavailable for another rank that
// left, died or aborted; DeadlineExceeded for a wait of more than the group's deadline. The collectives under way are then given
// up, so that memory may be freed, and every later call fails with the same words.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "kernels/base/tensor_view.h"
#include "runtime/comm/communicator.h"
#include "runtime/device/device.h"

namespace tandem {

// Used by the thread that issues the group's other collectives. `stream` is a cudaStream_t of this rank's GPU, views lie in its
// memory, and elements may be of any type but text and bool.
class DeviceCommunicator {
 public:
  virtual ~DeviceCommunicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual std::string description() const = 0;  // "NCCL 2.28.3"

  // Replaces `values` by the sums over all ranks, after what `stream` was given before. The memory belongs to the collective
  // until what is given to the stream after wait(values) begins. `bucket` is for error messages.
  virtual void begin_all_reduce(TensorView values, void* stream, std::string_view bucket = {}) = 0;
  virtual void wait(const std::byte* values, void* stream) = 0;

  // `values` of `root` replace those of all others.
  virtual void broadcast(TensorView values, int root, void* stream) = 0;
  // `whole` becomes the parts of all ranks, by rank; a part may lie in its place already.
  virtual void all_gather(ConstTensorView part, TensorView whole, void* stream) = 0;

  // The calling thread waits for all work of `stream`. Errors that NCCL finds while the GPU works, and other ranks' ends, appear
  // here.
  virtual void synchronize(void* stream) = 0;
};

struct ConnectedDevices {
  std::unique_ptr<DeviceCommunicator> communicator;  // null on all ranks, or on none
  std::string problem;                               // why null: "rank 1: NCCL is not used: not found"
};

// A collective of `ranks`, which must outlive the result and returns it by devices() as long as it lives. `device`: this rank's,
// or null. Throws as the collectives do if NCCL is there and does not start.
ConnectedDevices connect_devices(Communicator& ranks, std::shared_ptr<Device> device);

}  // namespace tandem
