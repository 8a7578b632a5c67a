// The part of NCCL's C interface that is used, after nccl.h of 2.28, which 2.18 has too; enums are ints.
#pragma once

#include <climits>
#include <cstddef>

namespace tandem::cuda {

struct Nccl {
  using Communicator = void*;  // ncclComm_t
  struct UniqueId {
    char internal[128];
  };
  // ncclConfig_t as of 2.18 and the next field, which lies where 2.18 pads: libraries take as much of it as `size` says, and for
  // what `version` did not know their own defaults.
  struct Config {
    static constexpr int kDefault = INT_MIN;
    size_t size = sizeof(Config);
    unsigned magic = 0xcafebeef, version = 21800;
    int blocking = 0;  // calls return at once, and asynchronous_error tells when they are done
    int cluster_size = kDefault, least_blocks = kDefault, most_blocks = kDefault;
    const char* network = nullptr;
    int shares_when_split = kDefault, traffic_class = kDefault;
  };
  enum Status { kSuccess = 0, kRemoteError = 6, kInProgress = 7 };
  enum Type { kI8 = 0, kU8 = 1, kI32 = 2, kU32 = 3, kI64 = 4, kU64 = 5, kF16 = 6, kF32 = 7, kF64 = 8, kBF16 = 9 };
  enum Reduction { kSum = 0 };

  int (*version)(int*);
  const char* (*status_text)(int);
  const char* (*last_error)(Communicator);
  int (*unique_id)(UniqueId*);
  int (*create)(Communicator*, int ranks, UniqueId, int rank, Config*);
  int (*finalize)(Communicator);
  int (*destroy)(Communicator);
  int (*abort)(Communicator);
  int (*asynchronous_error)(Communicator, int* status);
  int (*all_reduce)(const void* from, void* to, size_t count, int type, int reduction, Communicator, void* stream);
  int (*broadcast)(const void* from, void* to, size_t count, int type, int root, Communicator, void* stream);
  int (*all_gather)(const void* from, void* to, size_t count_of_one, int type, Communicator, void* stream);
};

}  // namespace tandem::cuda
