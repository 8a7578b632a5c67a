// A file as memory: over room that somebody made, and back to the system with it.
#include "runtime/io/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "kernels/base/block.h"
#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr size_t kRoom = size_t{2} << 20, kFile = kRoom + 4096 + 100;

// A file of kFile bytes that never was on a disk; a byte is its place modulo 251.
FileDescriptor counting_file() {
  FileDescriptor file(::memfd_create("mapped", 0));
  std::string content(kFile, '\0');
  for (size_t i = 0; i < kFile; ++i) content[i] = static_cast<char>(i % 251);
  EXPECT_EQ(::write(file.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
  return file;
}

TEST(MapOver, ShowsTheFileInPlaceOfTheRoom) {
  if (!is_whole_pages(kRoom)) GTEST_SKIP() << "blocks of this build are not pages of the system";
  const size_t bytes = kRoom - 60;  // the last page is not full
  auto room = make_lasting_block(bytes);
  std::byte* const memory = room.get();
  memory[5] = std::byte{77};
  {
    const FileDescriptor file = counting_file();
    ASSERT_TRUE(map_over({memory, bytes}, file, 4096, "a file"));
  }  // closed: the mapping stays
  for (const size_t i : {size_t{0}, size_t{5}, bytes / 2, bytes - 1}) EXPECT_EQ(std::to_integer<size_t>(memory[i]), (4096 + i) % 251) << i;
  unsigned char resident = 0;
  EXPECT_EQ(::mincore(memory, 1, &resident), 0);
  room.reset();
  EXPECT_EQ(::mincore(memory, 1, &resident), -1) << "the pages went with the room";
}

TEST(MapOver, LeavesTheRoomAloneBetweenPages) {
  if (!is_whole_pages(kRoom)) GTEST_SKIP() << "blocks of this build are not pages of the system";
  const auto room = make_zero_block(kRoom);
  EXPECT_FALSE(map_over({room.get(), kRoom}, counting_file(), 64, "a file"));
  EXPECT_EQ(room[100], std::byte{0});
  room[100] = std::byte{1};  // still its own
}

TEST(ReadExactly, TellsHowMuchIsMissing) {
  std::vector<std::byte> to(200);
  try {
    read_exactly(counting_file(), to, kFile - 100, "a file");
    FAIL() << "read past the end";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("100"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tandem
