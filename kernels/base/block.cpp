#include "kernels/base/block.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr std::align_val_t kLine{64};
// AddressSanitizer guards only what comes from its own allocator.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kFromSystem = false;
#else
constexpr bool kFromSystem = true;
#endif

[[noreturn]] void fail_allocation(size_t bytes) { fail(ErrorCode::kOutOfMemory, "no memory for a block; bytes asked for", {ErrorValue(bytes)}); }

constexpr size_t kPage = 4096, kHugePage = size_t{2} << 20;

// The system begins a mapping at any page; here it begins with a huge one, or a matrix of 3 MB would lie in small pages, which are read a quarter
// slower.
std::byte* map_aligned(size_t bytes) {
  const size_t rounded = (bytes + kPage - 1) / kPage * kPage, mapped = rounded + kHugePage;
  void* memory = mapped < bytes ? MAP_FAILED : ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail_allocation(bytes);
  auto* const begin = static_cast<std::byte*>(memory);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(memory) % kHugePage) % kHugePage;
  if (before > 0) ::munmap(begin, before);
  if (before < kHugePage) ::munmap(begin + before + rounded, kHugePage - before);
  return begin + before;
}

// Of small pages; at any of them.
std::shared_ptr<std::byte[]> map_small(size_t bytes) {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail_allocation(bytes);
  return {static_cast<std::byte*>(memory), [bytes](std::byte* p) { ::munmap(p, bytes); }};
}

std::shared_ptr<std::byte[]> map_block(size_t bytes) {
  std::byte* const memory = map_aligned(bytes);
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // advice: where there are none, small pages do
  return {memory, [bytes](std::byte* p) { ::munmap(p, bytes); }};
}

}  // namespace

bool is_whole_pages(size_t bytes) { return kFromSystem && bytes >= kWholePages; }

std::shared_ptr<std::byte[]> make_block(size_t bytes) {
  if (is_whole_pages(bytes)) return map_block(bytes);
  auto* memory = static_cast<std::byte*>(::operator new[](bytes ? bytes : 1, kLine, std::nothrow));
  if (!memory) fail_allocation(bytes);
  return {memory, [](std::byte* p) { ::operator delete[](p, kLine); }};
}

std::shared_ptr<std::byte[]> make_zero_block(size_t bytes) {
  auto block = make_block(bytes);
  if (!is_whole_pages(bytes)) std::memset(block.get(), 0, bytes);  // fresh pages are zero
  return block;
}

std::shared_ptr<std::byte[]> make_lasting_block(size_t bytes) {
  return kFromSystem && bytes >= kOwnPages && bytes < kWholePages ? map_small(bytes) : make_block(bytes);
}

void return_freed_memory() { ::malloc_trim(0); }

}  // namespace tandem
