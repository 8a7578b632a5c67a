// Atomic replacement: temporary file, fsync, rename, fsync of the folder (the order that ext4, xfs and btrfs all promise to
// keep).
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "kernels/base/error.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

[[noreturn]] void fail_write(const std::filesystem::path& path, int error) {
  fail(error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kUnavailable, "cannot write file",
       {path.string(), system_message(error)});
}

// Follows a symlink to an existing file, so that the file and not the link is replaced. Refuses what a rename would destroy: a
// device, a socket, a folder.
std::filesystem::path replaceable(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::regular) return std::filesystem::canonical(path);
  const bool taken = std::filesystem::exists(status);
  require(!taken && path.has_filename(), "cannot write file: not a regular file", path.string());
  return path;
}

// A file in `folder` that is removed again unless it was renamed to its name.
class TemporaryFile {
 public:
  TemporaryFile(const FileDescriptor& folder, const std::filesystem::path& path) : folder_(folder), path_(path) {
    uint64_t random = 0;
    if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) fail_write(path_, errno);
    std::snprintf(name_, sizeof(name_), ".tandem-%016llx.tmp", static_cast<unsigned long long>(random));
    file_ = FileDescriptor(::openat(folder_.get(), name_, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!file_) fail_write(path_, errno);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!renamed_) ::unlinkat(folder_.get(), name_, 0);
  }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(file_.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail_write(path_, errno);
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }

  void commit() {
    if (::fsync(file_.get()) != 0) fail_write(path_, errno);
    if (::renameat(folder_.get(), name_, folder_.get(), path_.filename().c_str()) != 0) fail_write(path_, errno);
    renamed_ = true;
    // EINVAL: a file system whose folders cannot be synced (some network and FUSE ones); it keeps no order to wait for.
    if (::fsync(folder_.get()) != 0 && errno != EINVAL) fail_write(path_, errno);
  }

 private:
  const FileDescriptor& folder_;
  const std::filesystem::path& path_;
  char name_[32];
  FileDescriptor file_;
  bool renamed_ = false;
};

}  // namespace

void write_file(const std::filesystem::path& path, std::string_view content) { write_file(path, {&content, 1}); }

void write_file(const std::filesystem::path& path, std::span<const std::string_view> pieces) {
  const std::filesystem::path target = replaceable(path);
  const std::filesystem::path parent = target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
  const FileDescriptor folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) fail_write(path, errno);
  TemporaryFile file(folder, target);
  for (std::string_view piece : pieces) file.write(piece);
  file.commit();
}

}  // namespace tandem
