#include "serving/protocol/settings.h"

#include <simdjson.h>

#include <charconv>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "inference_service.pb.h"
#include "kernels/base/error.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/json_writer.h"

namespace tandem {
namespace {

namespace dom = simdjson::dom;
using LogValue = std::variant<bool, int64_t, std::string_view>;

std::string_view name(LogSettings::Format format) { return format == LogSettings::Format::kIso8601 ? "ISO8601" : "default"; }

template <class T>
T value_of(const LogValue& value, std::string_view key, std::string_view wanted) {
  const T* const found = std::get_if<T>(&value);
  require(found != nullptr, "log setting " + quoted_name(key) + " must be " + std::string(wanted));
  return *found;
}

void set(LogUpdate& update, std::string_view key, const LogValue& value) {
  const auto flag = [&] { return value_of<bool>(value, key, "true or false"); };
  if (key == "log_error") return void(update.error = flag());
  if (key == "log_warning") return void(update.warning = flag());
  if (key == "log_info") return void(update.info = flag());
  if (key == "log_verbose_level") return void(update.verbose_level = value_of<int64_t>(value, key, "a whole number"));
  require(key != "log_file", "log file location can not be updated through network protocol");
  require(key == "log_format", "unknown log setting " + quoted_name(key));
  const auto format = value_of<std::string_view>(value, key, "a text");
  require(format == "default" || format == "ISO8601", "'log_format' must be default or ISO8601", quoted_name(format));
  update.format = format == "default" ? LogSettings::Format::kDefault : LogSettings::Format::kIso8601;
}

LogValue log_value_of(const dom::element& value, std::string_view key) {
  if (bool flag = false; value.get(flag) == simdjson::SUCCESS) return flag;
  if (int64_t number = 0; value.get(number) == simdjson::SUCCESS) return number;
  std::string_view text;
  require(value.get(text) == simdjson::SUCCESS, "log setting " + quoted_name(key) + " must be true, false, a number or a text");
  return text;
}

int64_t number_of(std::string_view key, std::span<const std::string_view> values) {
  int64_t number = 0;
  const std::string_view text = values.size() == 1 ? values[0] : "";
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  require(!text.empty() && error == std::errc() && end == text.data() + text.size(),
          "trace setting " + quoted_name(key) + " must be one whole number, as a text");
  return number;
}

bool has_timestamps(std::span<const std::string_view> levels) {
  bool timestamps = false;
  for (const std::string_view level : levels) {
    require(level == "OFF" || level == "TIMESTAMPS", "'trace_level' must be OFF or TIMESTAMPS", quoted_name(level));
    timestamps = timestamps || level == "TIMESTAMPS";
  }
  return timestamps;
}

// Without values: back to what holds for all.
void set(TraceUpdate& update, std::string_view key, std::span<const std::string_view> values) {
  const bool clears = values.empty();
  const auto number = [&](std::optional<int64_t>& field, bool& clear) {
    clear = clears;
    if (!clears) field = number_of(key, values);
  };
  if (key == "trace_rate") return number(update.rate, update.clear_rate);
  if (key == "trace_count") return number(update.count, update.clear_count);
  if (key == "log_frequency") return number(update.log_frequency, update.clear_log_frequency);
  require(key != "trace_file", "trace file location can not be updated through network protocol");
  if (key == "trace_mode") return require(clears || (values.size() == 1 && values[0] == "triton"), "'trace_mode' must be triton");
  require(key == "trace_level", "unknown trace setting " + quoted_name(key));
  update.clear_timestamps = clears;
  if (!clears) update.timestamps = has_timestamps(values);
}

// Calls visit(key, value) for the members of the body.
template <class Visit>
void for_each_member(std::string_view body, Visit&& visit) {
  if (body.empty()) return;
  dom::parser parser;
  dom::object object;
  require(parser.allocate(body.size(), 100) == simdjson::SUCCESS &&
              parser.parse(body.data(), body.size()).get(object) == simdjson::SUCCESS,
          "failed to parse the request JSON: expected an object of settings");
  for (const dom::key_value_pair member : object) visit(member.key, member.value);
}

std::vector<std::pair<std::string_view, std::string>> trace_texts(const TraceSettings& settings, std::string_view file) {
  return {{"trace_level", settings.timestamps ? "TIMESTAMPS" : "OFF"},
          {"trace_rate", std::to_string(settings.rate)},
          {"trace_count", std::to_string(settings.count)},
          {"log_frequency", std::to_string(settings.log_frequency)},
          {"trace_file", std::string(file)},
          {"trace_mode", "triton"}};
}

}  // namespace

std::string log_settings_json(const LogSettings& settings) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("log_file", "").member("log_info", settings.info).member("log_warning", settings.warning);
  json.member("log_error", settings.error).member("log_verbose_level", settings.verbose_level);
  json.member("log_format", name(settings.format)).end_object();
  return text;
}

void write_log_settings(const LogSettings& settings, inference::LogSettingsResponse& message) {
  auto& values = *message.mutable_settings();
  values["log_file"].set_string_param("");
  values["log_info"].set_bool_param(settings.info);
  values["log_warning"].set_bool_param(settings.warning);
  values["log_error"].set_bool_param(settings.error);
  values["log_verbose_level"].set_uint32_param(static_cast<uint32_t>(settings.verbose_level));
  values["log_format"].set_string_param(std::string(name(settings.format)));
}

LogUpdate parse_log_update(std::string_view body) {
  LogUpdate update;
  for_each_member(body, [&](std::string_view key, const dom::element& value) { set(update, key, log_value_of(value, key)); });
  require(update.verbose_level.value_or(0) <= UINT32_MAX, "'log_verbose_level' is out of range");
  return update;
}

LogUpdate read_log_update(const inference::LogSettingsRequest& message) {
  LogUpdate update;
  for (const auto& [key, value] : message.settings()) {
    if (value.has_bool_param()) set(update, key, value.bool_param());
    if (value.has_uint32_param()) set(update, key, int64_t{value.uint32_param()});
    if (value.has_string_param()) set(update, key, std::string_view(value.string_param()));
  }
  return update;
}

std::string trace_settings_json(const TraceSettings& settings, std::string_view file) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  for (const auto& [key, value] : trace_texts(settings, file)) {
    json.key(key);
    if (key == "trace_level")
      json.begin_array().value(value).end_array();
    else
      json.value(value);
  }
  json.end_object();
  return text;
}

void write_trace_settings(const TraceSettings& settings, std::string_view file, inference::TraceSettingResponse& message) {
  for (const auto& [key, value] : trace_texts(settings, file)) (*message.mutable_settings())[std::string(key)].add_value(value);
}

TraceUpdate parse_trace_update(std::string_view body) {
  TraceUpdate update;
  for_each_member(body, [&](std::string_view key, const dom::element& value) {
    std::vector<std::string_view> texts;
    const auto take = [&](const dom::element& element) {
      std::string_view text;
      require(element.get(text) == simdjson::SUCCESS, "trace setting " + quoted_name(key) + " must be a text, a list of texts or null");
      texts.push_back(text);
    };
    if (dom::array list; value.get(list) == simdjson::SUCCESS)
      for (const dom::element element : list) take(element);
    else if (!value.is_null())
      take(value);
    set(update, key, texts);
  });
  return update;
}

TraceUpdate read_trace_update(const inference::TraceSettingRequest& message) {
  TraceUpdate update;
  for (const auto& [key, setting] : message.settings())
    set(update, key, std::vector<std::string_view>(setting.value().begin(), setting.value().end()));
  return update;
}

}  // namespace tandem
