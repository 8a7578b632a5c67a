#include "serving/monitor/request_tracer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "kernels/base/error.h"

namespace tandem {
namespace {

FileDescriptor created(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  require(static_cast<bool>(file), "the trace file cannot be made", path, system_message(errno));
  return file;
}

// Names are of models (valid_model_name) or of ours; a request's id is the client's.
std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text.substr(0, 256)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e || c == '"' || c == '\\')
      result += '?';
    else
      result += c;
  }
  return result + "\"";
}

std::string text_of(const TraceRecord& record) {
  const std::string id = std::to_string(record.id);
  std::string text = "{\"id\":" + id + ",\"model_name\":" + quoted(record.model) +
                     ",\"model_version\":" + std::to_string(record.version);
  if (!record.request_id.empty()) text += ",\"request_id\":" + quoted(record.request_id);
  text += "},{\"id\":" + id + ",\"timestamps\":[";
  for (const auto& [name, ns] : record.timestamps)
    text += (text.back() == '[' ? "{\"name\":" : ",{\"name\":") + quoted(name) + ",\"ns\":" + std::to_string(ns) + "}";
  return text + "]}";
}

}  // namespace

RequestTracer::RequestTracer(std::string path) : path_(std::move(path)) {
  if (!path_.empty()) file_ = created(path_);
}

TraceSettings RequestTracer::settings_of(const Own* own) const {
  const TraceSettings defaults;
  const auto of = [&](auto field, auto otherwise) {
    if (own && own->*field) return *(own->*field);
    return (all_.*field).value_or(otherwise);
  };
  return {of(&Own::timestamps, defaults.timestamps), of(&Own::rate, defaults.rate), of(&Own::count, defaults.count),
          of(&Own::log_frequency, defaults.log_frequency)};
}

TraceSettings RequestTracer::settings(std::string_view model) const {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(model);
  return settings_of(found == models_.end() ? nullptr : &found->second);
}

TraceSettings RequestTracer::update(std::string_view model, const TraceUpdate& update) {
  require(update.rate.value_or(1) >= 1, "trace_rate must be at least 1");
  require(update.count.value_or(0) >= -1, "trace_count must be at least -1");
  require(update.log_frequency.value_or(0) >= 0, "log_frequency must not be negative");
  const std::lock_guard lock(mutex_);
  Own& own = model.empty() ? all_ : models_[std::string(model)];
  const auto set = [](auto& field, const auto& value, bool clear) {
    if (clear) field.reset();
    if (value) field = value;
  };
  set(own.timestamps, update.timestamps, update.clear_timestamps);
  set(own.rate, update.rate, update.clear_rate);
  set(own.count, update.count, update.clear_count);
  set(own.log_frequency, update.log_frequency, update.clear_log_frequency);
  own.seen = 0;
  bool active = all_.timestamps.value_or(false);
  for (const auto& [name, settings] : models_) active = active || settings.timestamps.value_or(false);
  active_ = active && is_enabled();
  return settings_of(&own);
}

std::optional<uint64_t> RequestTracer::sample(std::string_view model) {
  if (!active_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(model);
  Own* const own = found == models_.end() ? &all_ : &found->second;
  const TraceSettings settings = settings_of(own);
  if (!settings.timestamps || settings.count == 0 || own->seen++ % settings.rate != 0) return std::nullopt;
  auto& count = own->count ? own->count : all_.count;  // of whom it is
  if (count.value_or(-1) > 0) --*count;
  return next_id_++;
}

void RequestTracer::open_next() {
  file_ = created(path_ + "." + std::to_string(++file_number_));
  in_file_ = end_ = 0;
}

void RequestTracer::write(const TraceRecord& record) {
  const std::string text = text_of(record);
  const int64_t most = settings(record.model).log_frequency;
  const std::lock_guard lock(mutex_);
  try {
    if (most > 0 && in_file_ >= most) open_next();
  } catch (const Error&) {
    return;  // the answer is out; a full disk costs the trace
  }
  const std::string piece = (in_file_ == 0 ? "[" : ",") + text + "]";
  if (::pwrite(file_.get(), piece.data(), piece.size(), end_) != static_cast<ssize_t>(piece.size())) return;
  end_ += static_cast<int64_t>(piece.size()) - 1;
  ++in_file_;
}

}  // namespace tandem
