// A stand-in for libnccl, by its documentation: non-blocking communicators whose calls are in progress until asked for twice,
// collectives as work of the emulator's streams, in place or not. What the documentation forbids is refused as documented. Built
// with NVIDIA's header: our own declarations take no part.
//
// Ranks are processes, each with an emulator of its own: they meet in shared memory that the unique id names. Sums are in rank
// order.
#include "tests/support/fake_libraries/nccl.h"

#include <nccl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "cuda_emulator.h"
#include "kernels/base/half.h"
#include "tests/support/fake_libraries/meeting.h"

namespace {

using tandem::test::Announcement, tandem::test::kMostRanks, tandem::test::kSlot, tandem::test::Meeting,
    tandem::test::open_meeting;

constexpr int kQuestions = 2;  // after which what was begun is done

FakeNccl& fake() {
  static FakeNccl one;
  return one;
}

// Counts a call; what it is to fail with, or success.
ncclResult_t enter(const char* name) {
  fake().last_call = name;
  if (fake().fail_in == 0 || --fake().fail_in > 0) return ncclSuccess;
  return static_cast<ncclResult_t>(fake().fail_status);
}

size_t bytes_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8: return 1;
    case ncclFloat16:
    case ncclBfloat16: return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32: return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64: return 8;
    default: return 0;
  }
}

template <class T>
void add(void* sum, const void* values, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    T a, b;
    std::memcpy(&a, static_cast<std::byte*>(sum) + i * sizeof(T), sizeof(T));
    std::memcpy(&b, static_cast<const std::byte*>(values) + i * sizeof(T), sizeof(T));
    if constexpr (std::is_same_v<T, tandem::F16>)
      a = tandem::to_f16(to_float(a) + to_float(b));
    else if constexpr (std::is_same_v<T, tandem::BF16>)
      a = tandem::to_bf16(to_float(a) + to_float(b));
    else
      a = static_cast<T>(a + b);
    std::memcpy(static_cast<std::byte*>(sum) + i * sizeof(T), &a, sizeof(T));
  }
}

void add(ncclDataType_t type, void* sum, const void* values, size_t count) {
  switch (type) {
    case ncclInt8: return add<int8_t>(sum, values, count);
    case ncclUint8: return add<uint8_t>(sum, values, count);
    case ncclInt32: return add<int32_t>(sum, values, count);
    case ncclUint32: return add<uint32_t>(sum, values, count);
    case ncclInt64: return add<int64_t>(sum, values, count);
    case ncclUint64: return add<uint64_t>(sum, values, count);
    case ncclFloat16: return add<tandem::F16>(sum, values, count);
    case ncclBfloat16: return add<tandem::BF16>(sum, values, count);
    case ncclFloat32: return add<float>(sum, values, count);
    default: return add<double>(sum, values, count);
  }
}

}  // namespace

namespace {

enum Kind { kAllReduce = 1, kBroadcast, kAllGather };

// Lives as long as work in queues and graphs refers to it.
struct Rank {
  int ranks = 1, rank = 0;
  bool blocking = true, finalized = false, joined = false, aborted = false;
  int questions = 0;  // until what was begun is done
  ncclResult_t state = ncclSuccess;
  std::string name = {};
  Meeting* meeting = nullptr;

  ~Rank() {
    if (!meeting) return;
    meeting->left.fetch_add(1);
    munmap(meeting, sizeof(Meeting));
    if (rank == 0 && !joined) shm_unlink(name.c_str());
  }
  bool usable() const { return joined && !finalized && questions == 0 && state == ncclSuccess; }
  ncclResult_t begun() {
    if (blocking) return ncclSuccess;
    questions = kQuestions;
    return ncclInProgress;
  }
};

}  // namespace

struct ncclComm {
  std::shared_ptr<Rank> own;
};

namespace {

std::byte* at(void* data, size_t bytes) { return static_cast<std::byte*>(data) + bytes; }
const std::byte* at(const void* data, size_t bytes) { return static_cast<const std::byte*>(data) + bytes; }

// What a rank takes from the slots, for elements [first, first + count).
void take(const Rank& own, const Announcement& what, void* to, size_t first, size_t count) {
  const auto type = static_cast<ncclDataType_t>(what.type);
  const size_t size = bytes_of(type);
  Meeting& m = *own.meeting;
  switch (what.kind) {
    case kAllReduce:
      std::memcpy(at(to, first * size), m.slots[0], count * size);
      for (int r = 1; r < own.ranks; ++r) add(type, at(to, first * size), m.slots[r], count);
      return;
    case kBroadcast: std::memcpy(at(to, first * size), m.slots[what.root], count * size); return;
    default:
      for (int r = 0; r < own.ranks; ++r)
        std::memcpy(at(to, (static_cast<size_t>(r) * what.count + first) * size), m.slots[r], count * size);
  }
}

// In the order of the stream, as all ranks come to it.
void exchange(Rank& own, const Announcement& what, const void* from, void* to) {
  std::this_thread::sleep_for(std::chrono::milliseconds(fake().milliseconds));
  if (fake().asynchronous_error) own.state = static_cast<ncclResult_t>(fake().asynchronous_error);
  if (own.aborted || own.state != ncclSuccess) return;
  const size_t size = bytes_of(static_cast<ncclDataType_t>(what.type));
  if (own.ranks == 1) {
    if (from != to && what.count) std::memmove(to, from, what.count * size);
    return;
  }
  Meeting& m = *own.meeting;
  m.announced[own.rank] = what;
  const size_t per_round = kSlot / size;
  size_t first = 0;
  do {
    const size_t count = std::min(per_round, what.count - first);
    if (count) std::memcpy(m.slots[own.rank], at(from, first * size), count * size);
    bool all = m.meet(own.ranks);
    for (int r = 0; all && r < own.ranks; ++r)
      if (!(m.announced[r] == what)) own.state = ncclInvalidUsage;  // the real one would hang, or worse
    if (all && count) take(own, what, to, first, count);
    if (!all || !m.meet(own.ranks)) own.state = ncclRemoteError;
    first += count;
  } while (first < what.count && own.state == ncclSuccess);
}

ncclResult_t start(ncclComm_t comm, const Announcement& what, const void* from, void* to, cudaStream_t stream, const char* name) {
  FakeNccl& f = fake();
  f.type = what.type, f.operation = what.operation, f.count = what.count, f.from = from, f.to = to, f.stream = stream;
  if (const ncclResult_t planned = enter(name); planned != ncclSuccess) return planned;
  if (!comm || bytes_of(static_cast<ncclDataType_t>(what.type)) == 0 || what.root < 0 || what.root >= comm->own->ranks)
    return ncclInvalidArgument;
  if (!comm->own->usable()) return ncclInvalidUsage;
  if (what.count && (!from || !to)) return ncclInvalidArgument;
  tandem::emulator::launch(
      {dim3(1), dim3(1)}, stream, name, [own = comm->own, what, from, to] { exchange(*own, what, from, to); }, from, to);
  return comm->own->begun();
}

void release(ncclComm_t comm) {
  delete comm;
  --fake().alive;
}

}  // namespace

extern "C" {

FakeNccl* fake_nccl() { return &fake(); }

ncclResult_t ncclGetVersion(int* version) {
  *version = 22803;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSystemError: return "unhandled system error";
    case ncclRemoteError: return "remote process exited or there was a network error";
    default: return "an error of the stand-in";
  }
}
const char* ncclGetLastError(ncclComm_t) { return "told by the stand-in"; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (const ncclResult_t planned = enter("ncclGetUniqueId"); planned != ncclSuccess) return planned;
  static int made = 0;
  std::memset(id, 0, sizeof *id);
  std::snprintf(id->internal, sizeof id->internal, "/tandem-fake-nccl-%d-%d", static_cast<int>(getpid()), made++);
  return ncclSuccess;
}

// The one who made the id is rank 0; the others come when its meeting is there.
ncclResult_t ncclCommInitRankConfig(ncclComm_t* out, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  *out = nullptr;
  if (const ncclResult_t planned = enter("ncclCommInitRankConfig"); planned != ncclSuccess) return planned;
  if (ranks < 1 || ranks > kMostRanks || rank < 0 || rank >= ranks || !config || config->magic != 0xcafebeef)
    return ncclInvalidArgument;
  auto own = std::make_shared<Rank>(ranks, rank, config->blocking != 0);
  own->name = id.internal;
  own->joined = ranks == 1;
  if (ranks > 1 && rank == 0) {
    if (!(own->meeting = open_meeting(id.internal, true))) return ncclSystemError;
    own->meeting->joined.fetch_add(1);
  }
  *out = new ncclComm{own};
  ++fake().alive;
  return own->begun();
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (const ncclResult_t planned = enter("ncclCommGetAsyncError"); planned != ncclSuccess) return planned;
  if (!comm) return ncclInvalidArgument;
  Rank& own = *comm->own;
  if (fake().asynchronous_error) own.state = static_cast<ncclResult_t>(fake().asynchronous_error);
  *state = ncclInProgress;
  if (fake().never_done && own.state == ncclSuccess) return ncclSuccess;
  if (!own.joined && own.state == ncclSuccess) {
    if (!own.meeting && (own.meeting = open_meeting(own.name.c_str(), false))) own.meeting->joined.fetch_add(1);
    if (!own.meeting || own.meeting->joined.load() < own.ranks) return ncclSuccess;
    own.joined = true;
    if (own.rank == 0) shm_unlink(own.name.c_str());
  }
  if (own.questions > 0 && --own.questions > 0) return ncclSuccess;
  *state = own.state;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  if (const ncclResult_t planned = enter("ncclCommFinalize"); planned != ncclSuccess) return planned;
  if (!comm || comm->own->finalized) return ncclInvalidArgument;
  Rank& own = *comm->own;
  ++fake().finalized;
  const ncclResult_t result = own.begun();
  own.finalized = true;
  return result;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  ++fake().destroyed;
  release(comm);
  return enter("ncclCommDestroy");
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  ++fake().aborted;
  comm->own->aborted = true;
  release(comm);
  return enter("ncclCommAbort");
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t operation, ncclComm_t comm,
                           cudaStream_t stream) {
  ++fake().all_reduces;
  if (operation != ncclSum) return ncclInvalidArgument;  // others are not wanted yet
  return start(comm, {.kind = kAllReduce, .type = type, .operation = operation, .count = count}, from, to, stream,
               "ncclAllReduce");
}
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  ++fake().broadcasts;
  return start(comm, {.kind = kBroadcast, .type = type, .root = root, .count = count}, from, to, stream, "ncclBroadcast");
}
ncclResult_t ncclAllGather(const void* from, void* to, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  ++fake().all_gathers;
  return start(comm, {.kind = kAllGather, .type = type, .count = count}, from, to, stream, "ncclAllGather");
}

}  // extern "C"
