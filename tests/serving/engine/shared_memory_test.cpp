// Regions of real POSIX shared memory, and clients that misuse them.
#include "serving/engine/shared_memory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "kernels/base/error.h"

namespace tandem {
namespace {

using testing::HasSubstr;

// An object that goes with the test.
class Object {
 public:
  explicit Object(int64_t bytes)
      : key("/tandem-test-" + std::to_string(::getpid())), file_(::shm_open(key.c_str(), O_RDWR | O_CREAT, 0600)) {
    resize(bytes);
  }
  ~Object() { ::shm_unlink(key.c_str()); }
  void resize(int64_t bytes) const { EXPECT_EQ(::ftruncate(file_.get(), bytes), 0); }
  void write(std::string_view text, int64_t at) const {
    EXPECT_EQ(::pwrite(file_.get(), text.data(), text.size(), at), static_cast<ssize_t>(text.size()));
  }
  const std::string key;

 private:
  FileDescriptor file_;
};

std::string read(const SharedMemory& memory, const RegionRange& range) {
  std::string text(static_cast<size_t>(range.bytes), '?');
  memory.read(range, std::as_writable_bytes(std::span(text)));
  return text;
}

template <class F>
std::pair<ErrorCode, std::string> fault(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ErrorCode::kInternal, "nothing was wrong"};
}

TEST(SharedMemory, BytesGoBothWays) {
  const Object object(100);
  object.write("hello", 40);
  SharedMemory memory;
  memory.add({"r", object.key, 30, 70});
  EXPECT_EQ(read(memory, {"r", 10, 5}), "hello");
  memory.write({"r", 20, 5}, std::as_bytes(std::span(std::string_view("world"))));
  EXPECT_EQ(read(memory, {"r", 10, 15}), std::string("hello\0\0\0\0\0world", 15));
  ASSERT_EQ(memory.status().size(), 1u);
  EXPECT_EQ(memory.status("r")[0].offset, 30);
  memory.remove("r");
  EXPECT_TRUE(memory.status().empty());
}

TEST(SharedMemory, WhatIsWrongIsTold) {
  const Object object(100);
  SharedMemory memory;
  memory.add({"r", object.key, 0, 100});
  EXPECT_EQ(fault([&] { memory.add({"r", object.key, 0, 10}); }).first, ErrorCode::kAlreadyExists);
  EXPECT_EQ(fault([&] { memory.remove("x"); }).first, ErrorCode::kNotFound);
  EXPECT_EQ(fault([&] { memory.status("x"); }).first, ErrorCode::kNotFound);
  EXPECT_EQ(fault([&] { read(memory, {"x", 0, 1}); }).second, "Unable to find shared memory region: 'x'");
  for (const RegionRange& range :
       {RegionRange{"r", 0, 101}, {"r", 100, 1}, {"r", -1, 1}, {"r", INT64_MAX, 1}, {"r", 1, INT64_MAX}}) {
    SharedMemory copy;
    EXPECT_EQ(fault([&] { memory.read(range, {}); }).first, ErrorCode::kInvalidArgument) << range.offset << " " << range.bytes;
  }
  for (const RegionStatus& region : {RegionStatus{"n", object.key, 0, 101},
                                     {"n", object.key, 101, 1},
                                     {"n", object.key, -1, 1},
                                     {"n", object.key, 0, 0},
                                     {"n", object.key, INT64_MAX, INT64_MAX},
                                     {"", object.key, 0, 1},
                                     {"n", "/no-such-object-of-tandem", 0, 1},
                                     {"n", "/../etc/passwd", 0, 1},
                                     {"n", "noslash", 0, 1},
                                     {"n", "/", 0, 1},
                                     {"n", "", 0, 1},
                                     {"n", "/..", 0, 1}})
    EXPECT_EQ(fault([&] { memory.add(region); }).first, ErrorCode::kInvalidArgument) << region.key;
  EXPECT_EQ(memory.status().size(), 1u);
}

TEST(SharedMemory, AnObjectThatShrinksEndsNoProcess) {
  const Object object(100);
  SharedMemory memory;
  memory.add({"r", object.key, 0, 100});
  object.resize(10);
  EXPECT_THAT(fault([&] { read(memory, {"r", 50, 10}); }).second, HasSubstr("smaller than it was"));
  EXPECT_THAT(fault([&] {
                memory.write({"r", 50, 5}, std::as_bytes(std::span(std::string_view("world"))));
              }).second,
              HasSubstr("smaller than it was"));
}

}  // namespace
}  // namespace tandem
