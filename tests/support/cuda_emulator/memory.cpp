// Memory of the emulated GPU. It is mapped, but open only while a kernel or a copy runs: host code that takes a device pointer for its own
// dies at that place (in a build with AddressSanitizer, with a report). It begins as 0xFF bytes, NaN in every float type; what lies behind
// it is never open.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "block.h"
#include "machine.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

using namespace tandem::emulator;

namespace {

constexpr size_t kPage = 4096, kAlignment = 256;
constexpr int kFresh = 0xFF;

#if defined(__SANITIZE_ADDRESS__)
// The heap's own fences stay around it.
void* map_closed(size_t bytes, Allocation& out) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes) != 0) return nullptr;
  out.pages = memory;
  std::memset(memory, kFresh, bytes);
  __asan_poison_memory_region(memory, bytes);
  return memory;
}
void unmap(void* memory, const Allocation& one) {
  __asan_unpoison_memory_region(memory, one.bytes);
  std::free(one.pages);
}
void set_open(void* memory, const Allocation& one, bool open) {
  (open ? __asan_unpoison_memory_region : __asan_poison_memory_region)(memory, one.bytes);
}
#else
size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

// Ends just before a page that stays closed.
void* map_closed(size_t bytes, Allocation& out) {
  const size_t open = round_up(bytes, kPage);
  out.mapped = open + kPage;
  out.pages = mmap(nullptr, out.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (out.pages == MAP_FAILED) return nullptr;
  if (mprotect(out.pages, open, PROT_READ | PROT_WRITE) != 0) std::abort();
  std::memset(out.pages, kFresh, open);
  if (mprotect(out.pages, open, PROT_NONE) != 0) std::abort();
  return static_cast<char*>(out.pages) + (open - round_up(bytes, kAlignment));
}
void unmap(void*, const Allocation& one) { munmap(one.pages, one.mapped); }
void set_open(void*, const Allocation& one, bool open) {
  if (mprotect(one.pages, one.mapped - kPage, open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0) std::abort();
}
#endif

size_t used(const Machine& m, int device) {
  size_t bytes = 0;
  for (const auto& [address, one] : m.memory)
    if (!one.pinned && one.device == device) bytes += one.bytes;
  return bytes;
}

cudaError_t release(Machine& m, void* memory, bool pinned) {
  if (!memory) return cudaSuccess;
  if (const cudaError_t refused = refuse_in_capture(m); refused != cudaSuccess) return refused;
  const auto found = m.memory.find(reinterpret_cast<uintptr_t>(memory));
  if (found == m.memory.end() || found->second.pinned != pinned) return cudaErrorInvalidValue;
  run_all(m);  // as CUDA does
  if (pinned)
    std::free(memory);
  else
    unmap(memory, found->second);
  m.memory.erase(found);
  return cudaSuccess;
}

struct Transfer {
  void* to;
  const void* from;
  size_t bytes;
  bool to_device = false, from_device = false;
  bool pageable = false;  // the host's side
};

// Whether the pointers are what the kind of copy says.
bool resolve(const Machine& m, Transfer& copy, cudaMemcpyKind kind) {
  const Allocation *to = holder(m, copy.to, copy.bytes), *from = holder(m, copy.from, copy.bytes);
  copy.to_device = to && !to->pinned;
  copy.from_device = from && !from->pinned;
  copy.pageable = !to || !from;
  switch (kind) {
    case cudaMemcpyHostToHost: return !copy.to_device && !copy.from_device;
    case cudaMemcpyHostToDevice: return copy.to_device && !copy.from_device;
    case cudaMemcpyDeviceToHost: return !copy.to_device && copy.from_device;
    case cudaMemcpyDeviceToDevice: return copy.to_device && copy.from_device;
    case cudaMemcpyDefault: return true;
  }
  return false;
}

// What is pageable is read when the call is made, and written before the call returns.
cudaError_t copy_async(Machine& m, CUstream_st& stream, Transfer copy) {
  const bool from_pageable = copy.pageable && !copy.from_device, to_pageable = copy.pageable && !copy.to_device;
  if (copy.pageable)
    if (const cudaError_t refused = refuse_if_captured(stream); refused != cudaSuccess) return refused;
  if (from_pageable && !to_pageable) {
    const auto* begin = static_cast<const char*>(copy.from);
    return enqueue(m, stream, [copy, staged = std::vector<char>(begin, begin + copy.bytes)] { std::memcpy(copy.to, staged.data(), copy.bytes); });
  }
  const cudaError_t status = enqueue(m, stream, [copy] { std::memmove(copy.to, copy.from, copy.bytes); });
  if (status == cudaSuccess && to_pageable) run_until(m, end_of(stream));
  return status;
}

cudaError_t copy(Machine& m, cudaStream_t handle, const Transfer& asked, cudaMemcpyKind kind, bool wait) {
  CUstream_st* stream = find_stream(m, handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  Transfer copy = asked;
  if (copy.bytes == 0) return cudaSuccess;
  if (!resolve(m, copy, kind)) return cudaErrorInvalidValue;
  if (const cudaError_t status = copy_async(m, *stream, copy); status != cudaSuccess) return status;
  if (wait && !(copy.to_device && copy.from_device)) run_until(m, end_of(*stream));
  return cudaSuccess;
}

cudaError_t fill(Machine& m, cudaStream_t handle, void* to, int value, size_t bytes) {
  CUstream_st* stream = find_stream(m, handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (bytes == 0) return cudaSuccess;
  const Allocation* found = holder(m, to, bytes);
  if (!found || found->pinned) return cudaErrorInvalidValue;
  return enqueue(m, *stream, [=] { std::memset(to, value, bytes); });
}

}  // namespace

namespace tandem::emulator {

const Allocation* holder(const Machine& m, const void* memory, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  auto found = m.memory.upper_bound(address);
  if (found == m.memory.begin()) return nullptr;
  --found;
  return address - found->first <= found->second.bytes && bytes <= found->second.bytes - (address - found->first) ? &found->second : nullptr;
}

OpenMemory::OpenMemory(Machine& m) : machine_(m) {
  if (machine_.open++ == 0)
    for (const auto& [address, one] : m.memory)
      if (!one.pinned) set_open(reinterpret_cast<void*>(address), one, true);
}

OpenMemory::~OpenMemory() {
  if (--machine_.open == 0)
    for (const auto& [address, one] : machine_.memory)
      if (!one.pinned) set_open(reinterpret_cast<void*>(address), one, false);
}

}  // namespace tandem::emulator

extern "C" {

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  return call([=](Machine& m) {
    *memory = nullptr;
    if (const cudaError_t refused = refuse_in_capture(m); refused != cudaSuccess) return refused;
    if (bytes == 0) return cudaSuccess;
    watch_faults();
    const int device = host().device;
    if (bytes > m.memory_limit || used(m, device) > m.memory_limit - bytes) return cudaErrorMemoryAllocation;
    Allocation one{.bytes = bytes, .device = device};
    *memory = map_closed(bytes, one);
    if (!*memory) return cudaErrorMemoryAllocation;
    m.memory.emplace(reinterpret_cast<uintptr_t>(*memory), one);
    return cudaSuccess;
  });
}

cudaError_t cudaFree(void* memory) {
  return call(Entry::kRelease, [=](Machine& m) { return release(m, memory, false); });
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  return call([=](Machine& m) {
    *memory = nullptr;
    if (const cudaError_t refused = refuse_in_capture(m); refused != cudaSuccess) return refused;
    if (bytes == 0) return cudaSuccess;
    if (posix_memalign(memory, kPage, bytes) != 0) return cudaErrorMemoryAllocation;
    std::memset(*memory, kFresh, bytes);
    m.memory.emplace(reinterpret_cast<uintptr_t>(*memory), Allocation{.bytes = bytes, .pinned = true});
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) { return cudaHostAlloc(memory, bytes, cudaHostAllocDefault); }

cudaError_t cudaFreeHost(void* memory) {
  return call(Entry::kRelease, [=](Machine& m) { return release(m, memory, true); });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return call([=](Machine& m) {
    const size_t taken = used(m, host().device);
    *total = m.memory_limit;
    *free = m.memory_limit - std::min(taken, m.memory_limit);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return call([=](Machine& m) {
    if (const cudaError_t refused = refuse_in_capture(m); refused != cudaSuccess) return refused;
    return copy(m, nullptr, {to, from, bytes}, kind, true);
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return call([=](Machine& m) { return copy(m, stream, {to, from, bytes}, kind, false); });
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return call([=](Machine& m) {
    if (const cudaError_t refused = refuse_in_capture(m); refused != cudaSuccess) return refused;
    return fill(m, nullptr, to, value, bytes);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return call([=](Machine& m) { return fill(m, stream, to, value, bytes); });
}

}  // extern "C"
