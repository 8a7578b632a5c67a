#include "runtime/comm/nccl_communicator.h"

#include <cuda_runtime_api.h>

#include <thread>
#include <utility>

#include "kernels/cuda/device/check.h"
#include "runtime/device/cuda_current.h"
#include "runtime/device/cuda_stream.h"

namespace tandem {
namespace {

using cuda::check_cuda;
using cuda::Nccl;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{50};  // between two looks at NCCL's state and at the other ranks, while the GPU works
constexpr std::chrono::microseconds kNap{50};   // between two questions whether a call is done

int type_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return Nccl::kF32;
    case DType::kF64: return Nccl::kF64;
    case DType::kF16: return Nccl::kF16;
    case DType::kBF16: return Nccl::kBF16;
    case DType::kI8: return Nccl::kI8;
    case DType::kU8: return Nccl::kU8;
    case DType::kI32: return Nccl::kI32;
    case DType::kU32: return Nccl::kU32;
    case DType::kI64: return Nccl::kI64;
    case DType::kU64: return Nccl::kU64;
    default: fail(ErrorCode::kInvalidArgument, "NCCL has no such type", {name(dtype)});
  }
}

size_t count_of(const ConstTensorView& view) { return static_cast<size_t>(view.shape.elements()); }

std::string rank_text(const Communicator& ranks) {
  return "rank " + std::to_string(ranks.rank()) + " of " + std::to_string(ranks.size());
}

std::string failed_with(const Nccl& library, int status, Nccl::Communicator nccl) {
  std::string text = "failed with status " + std::to_string(status) + ": " + library.status_text(status);
  if (const char* const more = library.last_error(nccl); more && *more) text += std::string(", ") + more;
  return text;
}

}  // namespace

NcclCommunicator::NcclCommunicator(const Nccl& library, Communicator& ranks, std::shared_ptr<Device> device,
                                   const Nccl::UniqueId& id)
    : library_(library),
      ranks_(ranks),
      device_(std::move(device)),
      stream_(device_->make_stream()),
      ready_(device_->make_event()) {
  use_device(device_->info().ordinal);
  Nccl::Config config;
  settle(library_.create(&nccl_, size(), id, rank(), &config), {"connect", "ncclCommInitRankConfig"});
  ranks_.set_devices(this);
}

NcclCommunicator::~NcclCommunicator() {
  if (ranks_.devices() == this) ranks_.set_devices(nullptr);
  close();
}

Nccl::UniqueId NcclCommunicator::make_id(const Nccl& library, const Communicator& ranks) {
  Nccl::UniqueId id{};
  if (const int status = library.unique_id(&id); status != Nccl::kSuccess)
    fail(ErrorCode::kDevice, "[connect] " + rank_text(ranks) + ": ncclGetUniqueId " + failed_with(library, status, nullptr));
  return id;
}

std::string NcclCommunicator::description() const {
  int version = 0;
  library_.version(&version);
  return "NCCL " + std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

void NcclCommunicator::begin_all_reduce(TensorView values, void* stream, std::string_view bucket) {
  const int type = type_of(values.dtype);
  enqueue({"all_reduce", "ncclAllReduce", bucket}, values.data, stream, [&](void* own) {
    return library_.all_reduce(values.data, values.data, count_of(values), type, Nccl::kSum, nccl_, own);
  });
}

void NcclCommunicator::wait(const std::byte* values, void* stream) {
  refuse_if_failed();
  use_device(device_->info().ordinal);
  const Event& done = *begun(values).done;
  check_cuda(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<const CudaEvent&>(done).handle(), 0),
             "cudaStreamWaitEvent");
}

void NcclCommunicator::broadcast(TensorView values, int root, void* stream) {
  require(root >= 0 && root < size(), "[broadcast] no such rank", root, size());
  const int type = type_of(values.dtype);
  enqueue({"broadcast", "ncclBroadcast"}, values.data, stream,
          [&](void* own) { return library_.broadcast(values.data, values.data, count_of(values), type, root, nccl_, own); });
  wait(values.data, stream);
}

void NcclCommunicator::all_gather(ConstTensorView part, TensorView whole, void* stream) {
  require(part.dtype == whole.dtype && whole.shape.elements() == size() * part.shape.elements(),
          "[all_gather] the whole must hold the parts of all ranks (part, whole, ranks)", to_string(part.shape),
          to_string(whole.shape), size());
  const int type = type_of(part.dtype);
  enqueue({"all_gather", "ncclAllGather"}, whole.data, stream,
          [&](void* own) { return library_.all_gather(part.data, whole.data, count_of(part), type, nccl_, own); });
  wait(whole.data, stream);
}

// Our stream goes on from where `stream` is, which is how it joins a capture.
template <class Call>
void NcclCommunicator::enqueue(const Place& place, const std::byte* values, void* stream, Call call) {
  refuse_if_failed();
  use_device(device_->info().ordinal);
  check_cuda(cudaEventRecord(static_cast<const CudaEvent&>(*ready_).handle(), static_cast<cudaStream_t>(stream)),
             "cudaEventRecord");
  stream_->wait(*ready_);
  settle(call(stream_->handle()), place);
  stream_->record(*begun(values).done);
}

NcclCommunicator::Begun& NcclCommunicator::begun(const std::byte* values) {
  for (Begun& one : begun_)
    if (one.values == values) return one;
  return begun_.emplace_back(values, device_->make_event());
}

int NcclCommunicator::asynchronous_status() {
  int status = Nccl::kSuccess;
  const int asked = library_.asynchronous_error(nccl_, &status);
  return asked == Nccl::kSuccess ? status : asked;
}

// Waits for a call that was begun.
void NcclCommunicator::settle(int status, const Place& place) {
  const Clock::time_point end = Clock::now() + ranks_.deadline();
  while (status == Nccl::kInProgress) {
    status = asynchronous_status();
    if (status != Nccl::kInProgress) break;
    if (const std::string lost = ranks_.lost(); !lost.empty()) give_up(ErrorCode::kUnavailable, place, "was given up: " + lost);
    give_up_after(end, place);
    std::this_thread::sleep_for(kNap);
  }
  if (status != Nccl::kSuccess)
    give_up(status == Nccl::kRemoteError ? ErrorCode::kUnavailable : ErrorCode::kDevice, place,
            failed_with(library_, status, nccl_));
}

void NcclCommunicator::synchronize(void* stream) {
  refuse_if_failed();
  use_device(device_->info().ordinal);
  const Place place{"synchronize", "a collective"};
  const Clock::time_point end = Clock::now() + ranks_.deadline();
  Clock::time_point next_look = Clock::now() + kLook;
  std::string lost;
  for (;;) {
    const cudaError_t status = cudaStreamQuery(static_cast<cudaStream_t>(stream));
    if (status == cudaSuccess) break;
    if (status != cudaErrorNotReady) check_cuda(status, "cudaStreamQuery");
    drop_error(status);
    if (Clock::now() < next_look) continue;
    look_after(place, lost);
    give_up_after(end, place);
    next_look = Clock::now() + kLook;
  }
  settle(asynchronous_status(), place);
}

void NcclCommunicator::give_up_after(std::chrono::steady_clock::time_point end, const Place& place) {
  if (Clock::now() <= end) return;
  give_up(ErrorCode::kDeadlineExceeded, place,
          "was not done within the deadline of " + std::to_string(ranks_.deadline().count()) + " ms");
}

// A rank that left may have done its part before: only when the work is not done a look later, it never will be.
void NcclCommunicator::look_after(const Place& place, std::string& lost) {
  settle(asynchronous_status(), place);
  if (!lost.empty()) give_up(ErrorCode::kUnavailable, place, "was given up: " + lost);
  lost = ranks_.lost();
}

void NcclCommunicator::refuse_if_failed() const {
  if (failure_) throw *failure_;
}

void NcclCommunicator::give_up(ErrorCode code, const Place& place, const std::string& what) {
  std::string text = "[" + std::string(place.collective) + "] " + rank_text(ranks_) + ": " + std::string(place.call) + " " + what;
  if (!place.bucket.empty()) text += " (bucket '" + std::string(place.bucket) + "')";
  failure_ = Error(code, text);
  if (nccl_) library_.abort(std::exchange(nccl_, nullptr));
  throw *failure_;
}

// Ranks end together, unless one of them is lost, or this one ends because of an error: the others are not to wait for it.
void NcclCommunicator::close() noexcept {
  if (!nccl_) return;
  if (std::uncaught_exceptions() > exceptions_) {
    library_.abort(std::exchange(nccl_, nullptr));
    return;
  }
  try {
    use_device(device_->info().ordinal);
    settle(library_.finalize(nccl_), {"close", "ncclCommFinalize"});
    library_.destroy(std::exchange(nccl_, nullptr));
  } catch (const Error&) {  // given up
    if (nccl_) library_.abort(std::exchange(nccl_, nullptr));
  }
}

}  // namespace tandem
