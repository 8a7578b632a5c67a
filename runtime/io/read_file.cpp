// Opening and reading. A file is judged by its descriptor, after it was opened, so it cannot be swapped between check and use; it
// is read, never mapped, so one that shrinks meanwhile gives a short string and no SIGBUS.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "kernels/base/error.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

// O_NONBLOCK: opening a FIFO must not wait for a writer. It means nothing to the regular files that pass the check.
constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

[[noreturn]] void fail_open(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: fail(ErrorCode::kNotFound, "no such file", {path});
    case ENAMETOOLONG: fail(ErrorCode::kInvalidArgument, "cannot open file", {path, system_message(error)});
    case ENXIO: fail(ErrorCode::kInvalidArgument, "not a regular file", {path});
    default: fail(ErrorCode::kUnavailable, "cannot open file", {path, system_message(error)});
  }
}

// Size in bytes. Throws InvalidArgument unless the descriptor is of a regular file.
int64_t regular_size(const FileDescriptor& file, const std::string& path, bool single_link) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_open(path, errno);
  require(S_ISREG(status.st_mode), "not a regular file", path);
  // A second name may lie outside the root: whoever could make it could show us a file we may read and they may not.
  require(!single_link || status.st_nlink == 1, "file has more than one hard link", path, status.st_nlink);
  return status.st_size;
}

// The path of the error message; relative paths come from models and requests, so bytes that could forge a log line are shown as
// '?'.
std::string shown(std::string_view relative) {
  std::string text(relative.substr(0, 256));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

std::string read_all(const FileDescriptor& file, const std::string& path, int64_t size, int64_t limit) {
  require(size <= limit, "file is larger than the limit of bytes", path, size, limit);
  std::string content;
  size_t used = 0;
  content.resize(static_cast<size_t>(size) + 1);  // the extra byte meets the end of the file without another growth
  for (;;) {
    const ssize_t count = ::read(file.get(), content.data() + used, content.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorCode::kUnavailable, "cannot read file", {path, system_message(errno)});
    if (count == 0) break;
    used += static_cast<size_t>(count);
    require(static_cast<int64_t>(used) <= limit, "file grew over the limit of bytes while it was read", path, limit);
    if (used == content.size()) content.resize(content.size() * 2);
  }
  content.resize(used);
  return content;
}

}  // namespace

FileDescriptor open_regular(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), kOpenFlags));
  if (!file) fail_open(path.string(), errno);
  regular_size(file, path.string(), false);
  return file;
}

int64_t size_of_file(const FileDescriptor& file, const std::filesystem::path& path) { return regular_size(file, path.string(), false); }

FileDescriptor open_beneath(const std::filesystem::path& root, std::string_view relative) {
  const std::string name(relative), text = shown(relative);
  require(!name.empty() && name.find('\0') == std::string::npos, "not a file name", text);
  const FileDescriptor folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) fail_open(root.string(), errno);

  open_how how{};
  how.flags = kOpenFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed while the kernel walked the path; it asks to try again.
  FileDescriptor file;
  for (int attempt = 0; !file && attempt < 16; ++attempt) {
    file = FileDescriptor(static_cast<int>(::syscall(SYS_openat2, folder.get(), name.c_str(), &how, sizeof(how))));
    if (!file && errno != EAGAIN && errno != EINTR) break;
  }
  if (!file) {
    const int error = errno;
    check(error != ENOSYS, ErrorCode::kUnavailable, "the kernel lacks openat2 (Linux 5.6 has it), or a sandbox forbids it", text);
    require(error != EXDEV, "path leaves its root folder", text);
    require(error != ELOOP, "path goes through a symbolic link", text);
    fail_open(text, error);
  }
  regular_size(file, text, true);
  return file;
}

std::string read_file(const std::filesystem::path& path, int64_t limit) {
  const FileDescriptor file = open_regular(path);
  return read_all(file, path.string(), regular_size(file, path.string(), false), limit);
}

std::string read_file_beneath(const std::filesystem::path& root, std::string_view relative, int64_t limit) {
  const FileDescriptor file = open_beneath(root, relative);
  const std::string text = shown(relative);
  return read_all(file, text, regular_size(file, text, true), limit);
}

}  // namespace tandem
