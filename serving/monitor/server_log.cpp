#include "serving/monitor/server_log.h"

#include <array>
#include <cstdio>

#include "kernels/base/error.h"
#include "serving/monitor/iso_time.h"

namespace tandem {
namespace {

constexpr size_t kLongest = 2'000;

std::string plain_line(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      line += c;
      continue;
    }
    std::array<char, 8> escaped{};
    std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
    line += escaped.data();
  }
  return text.size() > kLongest ? line + "..." : line;
}

// "2026-11-21T09:30:00.123Z I "
std::string iso_prefix(Severity severity) { return iso_time_now() + ' ' + std::string_view("EWIV")[static_cast<size_t>(severity)] + ' '; }

}  // namespace

bool ServerLog::writes(Severity severity) const {
  const LogSettings now = settings();
  switch (severity) {
    case Severity::kError: return now.error;
    case Severity::kWarning: return now.warning;
    case Severity::kInfo: return now.info;
    case Severity::kVerbose: return now.verbose_level > 0;
  }
  return false;
}

void ServerLog::write(Severity severity, std::string_view text) {
  if (!sink_ || !writes(severity)) return;
  const std::string line = plain_line(text);
  const bool has_time = settings().format == LogSettings::Format::kIso8601;
  const std::lock_guard lock(writing_);
  sink_(has_time ? iso_prefix(severity) + line : line);
}

LogSettings ServerLog::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

LogSettings ServerLog::update(const LogUpdate& update) {
  require(update.verbose_level.value_or(0) >= 0, "log_verbose_level must not be negative");
  const std::lock_guard lock(mutex_);
  settings_.error = update.error.value_or(settings_.error);
  settings_.warning = update.warning.value_or(settings_.warning);
  settings_.info = update.info.value_or(settings_.info);
  settings_.verbose_level = update.verbose_level.value_or(settings_.verbose_level);
  settings_.format = update.format.value_or(settings_.format);
  is_verbose_ = settings_.verbose_level > 0;
  return settings_;
}

}  // namespace tandem
