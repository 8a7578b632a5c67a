// Attack B4 and fault C2: what a model names stays beneath its root; a write that fails leaves everything as it was.
#include "runtime/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "kernels/base/error.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/tandem-file-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = fs::canonical(pattern);
    root_ = folder_ / "root";
    fs::create_directories(root_ / "sub");
    put(folder_ / "secret", "secret");
    put(root_ / "plain", "hello");
    put(root_ / "sub" / "inner", "inner");
  }
  void TearDown() override { fs::remove_all(folder_); }

  static void put(const fs::path& path, std::string_view text) { std::ofstream(path) << text; }
  static size_t entries(const fs::path& path) {
    return static_cast<size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
  // Reads `name` beneath the root; the error's code and text, or "" if it could be read.
  std::string refused(std::string_view name) const {
    try {
      read_file_beneath(root_, name, 1 << 20);
    } catch (const Error& error) {
      return std::string(tandem::name(error.code())) + " " + error.what();
    }
    return "";
  }

  fs::path folder_, root_;
};

// Runs `body` in a child process, where it may change limits, ids and mounts; its text is the child's outcome.
std::string in_child(const std::function<std::string()>& body) {
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    std::string text;
    try {
      text = body();
    } catch (const std::exception& error) {
      text = error.what();
    }
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

TEST_F(FileTest, ReadsWholeFiles) {
  EXPECT_EQ(read_file(root_ / "plain", 5), "hello");
  EXPECT_EQ(read_file_beneath(root_, "plain", 5), "hello");
  EXPECT_EQ(read_file_beneath(root_, "sub/inner", 100), "inner");
  EXPECT_EQ(read_file_beneath(root_, "sub/../plain", 100), "hello");
  const std::string large(3 << 20, 'x');
  put(root_ / "large", large);
  EXPECT_EQ(read_file(root_ / "large", 4 << 20), large);
  put(root_ / "empty", "");
  EXPECT_EQ(read_file(root_ / "empty", 0), "");
}

TEST_F(FileTest, ReadsFilesThatStateNoSize) {  // /proc gives st_size 0
  EXPECT_THAT(read_file("/proc/self/status", 1 << 20), HasSubstr("Pid:"));
  EXPECT_THROW(read_file("/proc/self/status", 10), Error);
}

TEST_F(FileTest, LimitNamesPathSizeAndLimit) {
  try {
    read_file(root_ / "plain", 4);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("plain"), HasSubstr("5"), HasSubstr("4")));
  }
}

TEST_F(FileTest, PathsThatLeaveTheRootAreRefused) {
  for (const char* path : {"../secret", "sub/../../secret", "/etc/passwd", "./../root/plain"})
    EXPECT_THAT(refused(path), HasSubstr("InvalidArgument path leaves its root folder")) << path;
  EXPECT_THAT(refused((folder_ / "secret").string()), HasSubstr("leaves its root"));
}

TEST_F(FileTest, LinksAreRefused) {
  fs::create_symlink(folder_ / "secret", root_ / "out");
  fs::create_symlink("plain", root_ / "in");
  fs::create_directory_symlink(folder_, root_ / "up");
  fs::create_directory_symlink("sub", root_ / "alias");
  for (const char* path : {"out", "in", "up/secret", "alias/inner"})
    EXPECT_THAT(refused(path), HasSubstr("InvalidArgument path goes through a symbolic link")) << path;
  fs::create_hard_link(folder_ / "secret", root_ / "hard");
  EXPECT_THAT(refused("hard"), HasSubstr("InvalidArgument file has more than one hard link"));
  EXPECT_EQ(read_file(root_ / "in", 10), "hello");  // what the user types may be a link
}

TEST_F(FileTest, OnlyRegularFiles) {
  ASSERT_EQ(::mkfifo((root_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(refused("fifo"), HasSubstr("InvalidArgument not a regular file"));  // and does not wait for a writer
  EXPECT_THAT(refused("sub"), HasSubstr("not a regular file"));
  EXPECT_THROW(read_file("/dev/zero", 100), Error);
  EXPECT_THROW(read_file(root_, 100), Error);
  EXPECT_THROW(read_file(root_ / "fifo", 100), Error);
  if (::mknod((root_ / "zero").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0) {
    EXPECT_THAT(refused("zero"), testing::AnyOf(HasSubstr("not a regular file"), HasSubstr("cannot open file")));
  }
}

TEST_F(FileTest, NamesThatAreNone) {
  EXPECT_THAT(refused(""), HasSubstr("InvalidArgument"));
  EXPECT_THAT(refused(std::string_view("plain\0x", 7)), HasSubstr("InvalidArgument not a file name"));
  EXPECT_THAT(refused("absent"), HasSubstr("NotFound"));
  EXPECT_THAT(refused("plain/below"), HasSubstr("NotFound"));
  EXPECT_THAT(refused(std::string(5000, 'a')), HasSubstr("InvalidArgument"));
  EXPECT_EQ(refused("a\nb\x1b[1m").find('\n'), std::string::npos);
}

TEST_F(FileTest, WritesAndReplaces) {
  const fs::path path = root_ / "new";
  write_file(path, "one");
  EXPECT_EQ(read_file(path, 100), "one");
  const std::string_view pieces[] = {"two", "", " and three"};
  write_file(path, pieces);
  EXPECT_EQ(read_file(path, 100), "two and three");
  EXPECT_EQ(entries(root_), 3u);  // plain, sub, new: no temporary file stays
  fs::create_symlink("new", root_ / "link");
  write_file(root_ / "link", "through");
  EXPECT_TRUE(fs::is_symlink(root_ / "link"));
  EXPECT_EQ(read_file(path, 100), "through");
}

TEST_F(FileTest, WhatARenameWouldDestroyIsRefused) {
  EXPECT_THROW(write_file("/dev/full", "x"), Error);
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
  EXPECT_THROW(write_file(root_ / "sub", "x"), Error);
  EXPECT_THROW(write_file(root_ / "", "x"), Error);
  EXPECT_TRUE(fs::is_directory(root_ / "sub"));
}

TEST_F(FileTest, MissingFolderIsNotFound) {
  try {
    write_file(root_ / "absent" / "x", "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("absent/x"), HasSubstr("No such file or directory")));
  }
}

TEST_F(FileTest, WriteOverTheFileSizeLimitLeavesTheOldFile) {
  const std::string text = in_child([&] {
    const rlimit limit{4096, 4096};
    std::signal(SIGXFSZ, SIG_IGN);
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return std::string("no limit");
    write_file(root_ / "plain", std::string(10000, 'x'));
    return std::string("written");
  });
  EXPECT_THAT(text, AllOf(HasSubstr("cannot write file"), HasSubstr("plain"), HasSubstr("File too large")));
  EXPECT_EQ(read_file(root_ / "plain", 100), "hello");
  EXPECT_EQ(entries(root_), 2u);
}

TEST_F(FileTest, FullDiskLeavesTheOldFile) {
  const std::string text = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return std::string("skip");
    if (::mount("tmpfs", root_.c_str(), "tmpfs", 0, "size=64k") != 0) return std::string("skip");
    write_file(root_ / "kept", "old");
    std::string outcome = "written";
    try {
      write_file(root_ / "kept", std::string(1 << 20, 'x'));
    } catch (const Error& error) {
      outcome = std::string(name(error.code())) + " " + error.what();
    }
    return outcome + " | " + read_file(root_ / "kept", 100) + " | " + std::to_string(entries(root_));
  });
  if (text == "skip") GTEST_SKIP() << "may not mount a small tmpfs here";
  EXPECT_THAT(text,
              AllOf(HasSubstr("Unavailable cannot write file"), HasSubstr("No space left on device"), HasSubstr("| old | 1")));
}

TEST_F(FileTest, FolderWithoutWritePermission) {
  fs::permissions(root_, fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  fs::permissions(folder_, fs::perms::others_exec, fs::perm_options::add);
  const std::string text = in_child([&] {
    if (::geteuid() == 0 && ::seteuid(65534) != 0) return std::string("cannot drop root");
    write_file(root_ / "new", "x");
    return std::string("written");
  });
  fs::permissions(root_, fs::perms::owner_all);
  EXPECT_THAT(text, AllOf(HasSubstr("cannot write file"), HasSubstr("new"), HasSubstr("Permission denied")));
}

TEST_F(FileTest, DescriptorsAreClosed) {
  const size_t before = entries("/proc/self/fd");
  write_file(root_ / "new", "x");
  refused("../secret");
  refused("plain");
  EXPECT_EQ(entries("/proc/self/fd"), before);
  EXPECT_NE(::fcntl(open_beneath(root_, "plain").get(), F_GETFD) & FD_CLOEXEC, 0);
}

}  // namespace
}  // namespace tandem
