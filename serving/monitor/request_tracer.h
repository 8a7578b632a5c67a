// The trace extension: of every n-th request when it was where, as JSON in Triton's form.
//
// The file is a valid JSON array after each trace: {"id", "model_name", "model_version", "request_id"}, then {"id", "timestamps":
// [{"name", "ns"}]}. Times are of the steady clock.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/io/file_descriptor.h"

namespace tandem {

struct TraceSettings {
  bool timestamps = false;    // trace_level TIMESTAMPS; else OFF
  int64_t rate = 1000;        // one request of so many
  int64_t count = -1;         // traces still to be written; -1: no end
  int64_t log_frequency = 0;  // traces of one file, then FILE.1, FILE.2 ...; 0: all in one
};

// What is set takes the place of what was; of a model, of what holds for all.
struct TraceUpdate {
  std::optional<bool> timestamps = {};
  std::optional<int64_t> rate = {}, count = {}, log_frequency = {};
  bool clear_timestamps = false, clear_rate = false, clear_count = false, clear_log_frequency = false;  // back to what holds for all, or the default
};

struct TraceRecord {
  uint64_t id = 0;
  std::string_view model, request_id;
  int64_t version = 0;
  std::span<const std::pair<std::string_view, int64_t>> timestamps;  // names and nanoseconds
};

// Safe from any thread.
class RequestTracer {
 public:
  // Without a file ("") nothing is traced. Throws InvalidArgument if the file cannot be made.
  explicit RequestTracer(std::string path = "");

  bool is_enabled() const { return !path_.empty(); }
  const std::string& path() const { return path_; }
  // The number of a trace if this request of `model` is to be traced.
  std::optional<uint64_t> sample(std::string_view model);
  void write(const TraceRecord& record);

  // Of a model; "" for what holds for all.
  TraceSettings settings(std::string_view model = "") const;
  // Throws InvalidArgument for a rate below 1, a count below -1 or a negative log frequency; then nothing has changed.
  TraceSettings update(std::string_view model, const TraceUpdate& update);

 private:
  struct Own {  // settings of one model, or of all
    std::optional<bool> timestamps = {};
    std::optional<int64_t> rate = {}, count = {}, log_frequency = {};
    int64_t seen = 0;  // requests since the last change
  };
  TraceSettings settings_of(const Own* own) const;
  void open_next();

  const std::string path_;
  std::atomic<bool> active_{false};  // whether any settings could trace a request
  mutable std::mutex mutex_;         // of all below
  Own all_;
  std::map<std::string, Own, std::less<>> models_;
  uint64_t next_id_ = 1;
  FileDescriptor file_;
  int64_t file_number_ = 0, in_file_ = 0, end_ = 0;  // traces in the file; where its last "]" stands
};

}  // namespace tandem
