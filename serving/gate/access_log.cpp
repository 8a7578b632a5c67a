#include "serving/gate/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "kernels/base/error.h"
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

// "2026-11-21T09:30:00.123Z"
std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::string result(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &utc));
  const std::string digits = std::to_string(1000 + ms);
  return result + digits.substr(1) + "Z";
}

std::string line_of(const Access& access) {
  std::string line;
  JsonWriter json(line);
  json.begin_object().member("time", now_text()).member("protocol", access.protocol).member("peer", access.peer);
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
