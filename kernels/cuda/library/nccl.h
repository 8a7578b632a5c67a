// The part of NCCL's C interface that is used, after nccl.h of 2.28; enums are ints.
#pragma once

#include <cstddef>

namespace tandem::cuda {

struct Nccl {
  using Communicator = void*;
  struct UniqueId {
    char internal[128];
  };
  enum Status { kSuccess = 0, kInProgress = 7 };
  enum Type { kU8 = 1, kF32 = 7 };
  enum Reduction { kSum = 0 };

  int (*version)(int*);
  const char* (*status_text)(int);
  int (*unique_id)(UniqueId*);
  int (*create)(Communicator*, int ranks, UniqueId, int rank);
  int (*destroy)(Communicator);
  int (*abort)(Communicator);
  int (*asynchronous_error)(Communicator, int* status);
  int (*all_reduce)(const void* from, void* to, size_t count, int type, int reduction, Communicator, void* stream);
  int (*broadcast)(const void* from, void* to, size_t count, int type, int root, Communicator, void* stream);
};

}  // namespace tandem::cuda
