// What the server tells the person who runs it: lines by severity, which clients may choose among (the logging extension).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace tandem {

enum class Severity : uint8_t { kError, kWarning, kInfo, kVerbose };

struct LogSettings {
  enum class Format : uint8_t { kDefault, kIso8601 };  // the line alone; time (UTC) and severity before it
  bool error = true, warning = true, info = true;
  int64_t verbose_level = 0;  // from 1 on: a line for each request
  Format format = Format::kDefault;
};

// What is not set stays as it is.
struct LogUpdate {
  std::optional<bool> error = {}, warning = {}, info = {};
  std::optional<int64_t> verbose_level = {};
  std::optional<LogSettings::Format> format = {};
};

// Safe from any thread.
class ServerLog {
 public:
  using Sink = std::function<void(const std::string& line)>;  // called from any thread, one call at a time
  explicit ServerLog(Sink sink) : sink_(std::move(sink)) {}

  // Bytes that could spoil a terminal or fake a line (control characters) are written as \xNN; what is longer than 2,000 bytes is cut.
  void write(Severity severity, std::string_view text);
  bool writes(Severity severity) const;
  bool is_verbose() const { return is_verbose_.load(std::memory_order_relaxed); }
  LogSettings settings() const;
  // Throws InvalidArgument for a negative level; then nothing has changed.
  LogSettings update(const LogUpdate& update);

 private:
  const Sink sink_;
  std::mutex writing_;
  mutable std::mutex mutex_;  // of settings_
  LogSettings settings_;
  std::atomic<bool> is_verbose_{false};
};

}  // namespace tandem
