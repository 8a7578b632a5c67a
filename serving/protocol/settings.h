// The logging and trace extensions: settings as JSON and as messages, and what a client wants changed of them.
#pragma once

#include <string>
#include <string_view>

#include "serving/monitor/request_tracer.h"
#include "serving/monitor/server_log.h"

namespace inference {
class LogSettingsRequest;
class LogSettingsResponse;
class TraceSettingRequest;
class TraceSettingResponse;
}  // namespace inference

namespace tandem {

// {"log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"}; the file is always standard error: "".
std::string log_settings_json(const LogSettings& settings);
void write_log_settings(const LogSettings& settings, inference::LogSettingsResponse& message);
// The body that changes some of them. Throw InvalidArgument for a name that is none, another type, and the file, which no client may choose.
LogUpdate parse_log_update(std::string_view body);
LogUpdate read_log_update(const inference::LogSettingsRequest& message);

// {"trace_level": [...], "trace_rate", "trace_count", "log_frequency", "trace_file", "trace_mode"}: all texts, as Triton has them.
std::string trace_settings_json(const TraceSettings& settings, std::string_view file);
void write_trace_settings(const TraceSettings& settings, std::string_view file, inference::TraceSettingResponse& message);
// Values are texts, or lists of texts; null, or no value in a message, goes back to what holds for all models. Throw InvalidArgument.
TraceUpdate parse_trace_update(std::string_view body);
TraceUpdate read_trace_update(const inference::TraceSettingRequest& message);

}  // namespace tandem
