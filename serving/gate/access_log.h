// One line of JSON for each request of either front end: who asked for what, how it ended, how long it took.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/io/file_descriptor.h"
#include "serving/monitor/server_log.h"

namespace tandem {

struct Access {
  std::string_view protocol;  // "http" or "grpc"
  std::string peer;           // address and port of the client
  std::string what;           // method and target, or the call's name
  std::string status;         // "200", "INVALID_ARGUMENT"
  std::chrono::nanoseconds time{0};
  int64_t bytes_in = 0, bytes_out = 0;  // of the bodies
};

// Safe from any thread. A line is one write to a file that is appended to, so several processes may share it.
class AccessLog {
 public:
  // `path`: a file, "-" for standard output, "" for none. With the log's verbose level above 0 each line goes there too. Throws
  // InvalidArgument for a file that cannot be opened.
  AccessLog(const std::string& path, ServerLog& log);

  // Whether record() would write anything: what makes a record may be skipped.
  bool is_wanted() const { return static_cast<bool>(file_) || log_.is_verbose(); }
  void record(const Access& access);

 private:
  FileDescriptor file_;
  ServerLog& log_;
};

}  // namespace tandem
