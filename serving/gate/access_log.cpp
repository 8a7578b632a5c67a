#include "serving/gate/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "kernels/base/error.h"
#include "serving/monitor/iso_time.h"
#include "serving/protocol/json_writer.h"

namespace tandem {
namespace {

constexpr size_t kLongestName = 512;  // of what a client says

FileDescriptor opened(const std::string& path) {
  if (path.empty()) return {};
  if (path == "-") return FileDescriptor(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  require(static_cast<bool>(file), "the access log cannot be opened", path, system_message(errno));
  return file;
}

std::string line_of(const Access& access) {
  std::string line;
  JsonWriter json(line);
  json.begin_object().member("time", iso_time_now()).member("protocol", access.protocol).member("peer", access.peer);
  json.member("request", access.what.substr(0, kLongestName)).member("status", access.status);
  json.member("us", std::chrono::duration_cast<std::chrono::microseconds>(access.time).count());
  json.member("bytes_in", access.bytes_in).member("bytes_out", access.bytes_out).end_object();
  return line;
}

}  // namespace

AccessLog::AccessLog(const std::string& path, ServerLog& log) : file_(opened(path)), log_(log) {}

void AccessLog::record(const Access& access) {
  if (!is_wanted()) return;
  std::string line = line_of(access);
  log_.write(Severity::kVerbose, line);
  if (!file_) return;
  line += '\n';
  // A full disk must not stop answers: what cannot be written is lost.
  [[maybe_unused]] const ssize_t written = ::write(file_.get(), line.data(), line.size());
}

}  // namespace tandem
