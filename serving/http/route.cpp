#include "serving/http/route.h"

#include <algorithm>
#include <vector>

#include "serving/core/model_name.h"
#include "serving/core/version_labels.h"
#include "serving/core/version_policy.h"

namespace tandem {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// One path segment, decoded once. What comes out is checked as a name: an encoded slash, dot-dot or NUL is none.
std::string decode(std::string_view segment) {
  std::string text;
  for (size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      text += segment[i];
      continue;
    }
    const int high = i + 2 < segment.size() ? hex_digit(segment[i + 1]) : -1;
    const int low = i + 2 < segment.size() ? hex_digit(segment[i + 2]) : -1;
    if (high < 0 || low < 0) throw HttpFault{400, "malformed percent-encoding in the path"};
    text += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return text;
}

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    segments.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return segments;
}

struct Match {
  Route route;
  std::string_view method;  // "": GET and POST
};

std::string decode_model(std::string_view segment) {
  std::string model = decode(segment);
  if (!valid_model_name(model)) throw HttpFault{400, "not a model name: use letters, digits and _ - . + =, 128 at most"};
  return model;
}

std::optional<Match> match_model(const std::vector<std::string_view>& path) {
  Match match{{Endpoint::kModelMetadata, decode_model(path[2]), 0}, "GET"};
  size_t next = 3;
  if (next < path.size() && path[next] == "versions") {
    if (next + 1 == path.size()) return std::nullopt;
    match.route.version = parse_version(path[next + 1]);
    if (match.route.version == 0) match.route.label = decode(path[next + 1]);
    if (match.route.version == 0 && !valid_version_label(match.route.label))
      throw HttpFault{400, "a model version must be a positive decimal number, or a label"};
    next += 2;
  }
  if (next == path.size()) return match;
  if (next == 3 && next + 2 == path.size() && path[next] == "trace" && path[next + 1] == "setting")
    return Match{{Endpoint::kTraceSettings, match.route.model, 0}, ""};
  if (next + 1 != path.size()) return std::nullopt;
  const std::string_view action = path[next];
  if (action == "ready")
    match.route.endpoint = Endpoint::kModelReady;
  else if (action == "config")
    match.route.endpoint = Endpoint::kModelConfig;
  else if (action == "stats")
    match.route.endpoint = Endpoint::kStatistics;
  else if (action == "infer")
    match.route.endpoint = Endpoint::kInfer, match.method = "POST";
  else if (action == "generate")
    match.route.endpoint = Endpoint::kGenerate, match.method = "POST";
  else if (action == "generate_stream")
    match.route.endpoint = Endpoint::kGenerateStream, match.method = "POST";
  else
    return std::nullopt;
  return match;
}

std::optional<Match> match_control(const std::vector<std::string_view>& path) {
  if (path.size() != 5 || (path[4] != "load" && path[4] != "unload")) return std::nullopt;
  return Match{{path[4] == "load" ? Endpoint::kLoad : Endpoint::kUnload, decode_model(path[3]), 0}, "POST"};
}

std::optional<Match> match_region(const std::vector<std::string_view>& path) {
  const bool names_one = path.size() == 5 && path[2] == "region";
  if (!names_one && path.size() != 3) return std::nullopt;
  Match match{{Endpoint::kRegionStatus, ""}, "POST"};
  if (names_one) match.route.region = decode(path[3]);
  match.route.of_device = path[1] == "cudasharedmemory";
  const std::string_view action = path.back();
  if (action == "status")
    match.method = "GET";
  else if (action == "register" && names_one)
    match.route.endpoint = Endpoint::kRegisterRegion;
  else if (action == "unregister")
    match.route.endpoint = Endpoint::kUnregisterRegion;
  else
    return std::nullopt;
  return match;
}

std::optional<Match> match_path(std::string_view path) {
  if (path == "/") return Match{{Endpoint::kIndexPage, "", 0}, "GET"};
  if (path == "/status.json") return Match{{Endpoint::kOverview, "", 0}, "GET"};
  if (path == "/metrics") return Match{{Endpoint::kMetrics, "", 0}, "GET"};
  if (path == "/v2" || path == "/v2/") return Match{{Endpoint::kServerMetadata, "", 0}, "GET"};
  if (path == "/v2/health/live") return Match{{Endpoint::kLive, "", 0}, "GET"};
  if (path == "/v2/health/ready") return Match{{Endpoint::kServerReady, "", 0}, "GET"};
  if (path == "/v2/repository/index") return Match{{Endpoint::kRepositoryIndex, "", 0}, "POST"};
  if (path == "/v2/logging") return Match{{Endpoint::kLogSettings, "", 0}, ""};
  if (path == "/v2/trace/setting") return Match{{Endpoint::kTraceSettings, "", 0}, ""};
  if (path == "/v2/models/stats") return Match{{Endpoint::kStatistics, "", 0}, "GET"};
  if (path.starts_with("/v2/systemsharedmemory/") || path.starts_with("/v2/cudasharedmemory/"))
    return match_region(segments_of(path));
  if (path.starts_with("/v2/repository/models/")) return match_control(segments_of(path));
  if (!path.starts_with("/v2/models/")) return std::nullopt;
  return match_model(segments_of(path));
}

}  // namespace

std::string version_text(const Route& route) { return route.version > 0 ? std::to_string(route.version) : route.label; }

Route route_of(std::string_view method, std::string_view target) {
  const std::optional<Match> match = match_path(target.substr(0, target.find('?')));
  if (!match) throw HttpFault{404, "Not Found"};
  if (match->method.empty() && (method == "GET" || method == "HEAD" || method == "POST")) return match->route;
  if (match->method.empty()) throw HttpFault{405, "Method Not Allowed: use GET or POST", "GET, HEAD, POST"};
  if (method != match->method && !(method == "HEAD" && match->method == "GET"))
    throw HttpFault{405, "Method Not Allowed: use " + std::string(match->method), match->method == "GET" ? "GET, HEAD" : "POST"};
  return match->route;
}

}  // namespace tandem
