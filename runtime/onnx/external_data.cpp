#include "runtime/onnx/external_data.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "kernels/base/checked.h"
#include "onnx.pb.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

struct Extent {
  std::string location;
  int64_t offset = 0;
  int64_t length = -1;  // not given: as many as the tensor has
};

int64_t parse_size(const std::string& text, std::string_view key) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size() && value >= 0, "external data: not a size", key, text);
  return value;
}

Extent read_extent(const tandem_onnx_proto::TensorProto& proto) {
  Extent extent;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") extent.location = entry.value();
    if (entry.key() == "offset") extent.offset = parse_size(entry.value(), "offset");
    if (entry.key() == "length") extent.length = parse_size(entry.value(), "length");
  }
  require(!extent.location.empty(), "external data has no location");
  return extent;
}

void read_fully(int fd, std::span<std::byte> to, int64_t offset) {
  while (!to.empty()) {
    const ssize_t got = ::pread(fd, to.data(), to.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, ErrorCode::kUnavailable, "external data cannot be read");
    require(got > 0, "external data ends too early (bytes missing)", to.size());
    to = to.subspan(static_cast<size_t>(got));
    offset += got;
  }
}

}  // namespace

void read_external_data(const tandem_onnx_proto::TensorProto& proto, const std::filesystem::path& folder, int64_t bytes,
                        const std::function<std::span<std::byte>()>& allocate) {
  const Extent extent = read_extent(proto);
  require(!folder.empty(), "the data lies in another file, and no folder was given for it", extent.location);
  require(extent.length < 0 || extent.length == bytes, "external data has another length than the dims say (has, expected)",
          extent.length, bytes);
  const FileDescriptor file = open_beneath(folder, extent.location);
  struct stat status {};
  check(::fstat(file.get(), &status) == 0, ErrorCode::kUnavailable, "external data cannot be examined", extent.location);
  require(checked_add(extent.offset, bytes, "external data") <= status.st_size,
          "external data reaches past the end of its file (offset, bytes, file size)", extent.offset, bytes,
          static_cast<int64_t>(status.st_size));
  read_fully(file.get(), allocate(), extent.offset);
}

}  // namespace tandem
