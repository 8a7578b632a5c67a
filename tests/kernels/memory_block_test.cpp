#include "kernels/base/block.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <vector>

#include "kernels/base/program_pages.h"

namespace tandem {
namespace {

// Of this process, in memory now.
int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

constexpr size_t kSizes[] = {0, 1, 1000, kOwnPages - 1, kOwnPages, kOwnPages + 1, kWholePages - 1, kWholePages, 3 * kWholePages + 5};

TEST(Block, IsAlignedAndWritable) {
  for (auto* make : {make_block, make_zero_block, make_lasting_block})
    for (size_t bytes : kSizes) {
      const auto block = make(bytes);
      ASSERT_NE(block, nullptr) << bytes;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block.get()) % 64, 0u) << bytes;
      std::memset(block.get(), 7, bytes);
    }
}

TEST(Block, ZeroBlocksAreZero) {
  for (size_t bytes : kSizes) {
    std::memset(make_zero_block(bytes).get(), 7, bytes);  // what malloc gives again
    const auto block = make_zero_block(bytes);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(block[static_cast<ptrdiff_t>(i)], std::byte{0}) << bytes;
  }
}

#ifndef __SANITIZE_ADDRESS__  // whose allocator keeps what is freed
// Weights and what is packed of them in turns, as when a model is loaded: what went does not stay between what came.
TEST(Block, MemoryOfLastingBlocksGoesBackAtOnce) {
  constexpr size_t kBytes = 200 * 1000, kBlocks = 200;
  std::vector<std::shared_ptr<std::byte[]>> weights, packed;
  const auto filled = [&] {
    auto block = make_lasting_block(kBytes);
    std::memset(block.get(), 1, kBytes);
    return block;
  };
  for (size_t i = 0; i < kBlocks; ++i) weights.push_back(filled());
  const int64_t before = resident_bytes();
  for (auto& block : weights) {
    packed.push_back(filled());
    block.reset();
  }
  EXPECT_LT(resident_bytes(), before + static_cast<int64_t>(kBlocks * kBytes / 10));
}

TEST(Block, FreedMemoryIsGivenBack) {
  std::vector<std::vector<char>> many(4000);
  for (auto& small : many) small.assign(10000, 'x');
  const int64_t before = resident_bytes();
  for (size_t i = 0; i + 1 < many.size(); ++i) std::vector<char>().swap(many[i]);  // the last one holds the end of the heap
  return_freed_memory();
  EXPECT_LT(resident_bytes(), before - 30'000'000);
}
#endif

// What was relocated or written is still there, and code runs again.
TEST(ProgramPages, GoAndComeBack) {
  static int written = 0;
  written = 7;
  const int64_t before = resident_bytes();
  return_program_pages();
  EXPECT_LT(resident_bytes(), before);
  EXPECT_EQ(written, 7);
  EXPECT_EQ(make_zero_block(100)[99], std::byte{0});
}

}  // namespace
}  // namespace tandem
