#include "serving/http/status_page.h"

#include "runtime/io/file.h"
#include "serving/http/page/page.h"
#include "serving/protocol/base64.h"

namespace tandem {
namespace {

std::string_view between(std::string_view text, std::string_view begin, std::string_view end) {
  const size_t first = text.find(begin) + begin.size();
  return text.substr(first, text.find(end, first) - first);
}

// 'sha256-...' as a policy names what may run.
std::string source_hash(std::string_view content) {
  const std::string digits = sha256(content);
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return "'sha256-" + encode_base64(bytes) + "'";
}

const std::string& policy() {
  static const std::string text = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src " +
                                  source_hash(between(kStatusPage, "<style>", "</style>")) + "; script-src " +
                                  source_hash(between(kStatusPage, "<script>", "</script>"));
  return text;
}

// Where a loaded model is served from, if that is to be told.
std::string device_note(const ModelListing& listing) {
  if (!listing.served) return "";
  const ModelDevice device = listing.model()->device();
  if (device.on_device)
    return "  (on " + device.asked + (device.not_captured.empty() ? "" : ", without captured graphs: " + device.not_captured) +
           ")";
  if (device.problem.empty()) return "";
  return (listing.answers() ? "  (on the CPU, not on a GPU: " : "  (the GPU failed: ") + device.problem + ")";
}

}  // namespace

bool wants_page(const HttpRequest& request) { return request.header("Accept").value_or("").find("text/html") != std::string_view::npos; }

HttpResponse status_page() {
  return {200,
          "text/html; charset=utf-8",
          std::string(kStatusPage),
          {{"Content-Security-Policy", policy()},
           {"X-Content-Type-Options", "nosniff"},
           {"Referrer-Policy", "no-referrer"},
           {"Cache-Control", "no-cache"},
           {"Vary", "Accept"}}};
}

HttpResponse status_text(const ServerIdentity& identity, std::span<const ModelListing> listings) {
  std::string text = identity.name + " " + identity.version + ": Open Inference Protocol v2\n\n";
  for (const ModelListing& listing : listings) {
    text += (listing.answers() ? "ready        /v2/models/" : "UNAVAILABLE  /v2/models/") + listing.name;
    if (listing.version > 0) text += "/versions/" + std::to_string(listing.version);
    text += (listing.reason.empty() ? device_note(listing) : "  (" + listing.reason + ")") + "\n";
  }
  text += "\nPOST .../infer runs a model. See also /v2, /v2/health/ready, /metrics; in a browser this is a page.\n";
  return {200, "text/plain; charset=utf-8", text, {{"Vary", "Accept"}}};
}

bool comes_from_elsewhere(const HttpRequest& request) {
  const std::string_view site = request.header("Sec-Fetch-Site").value_or("");
  return site == "cross-site" || site == "same-site";
}

}  // namespace tandem
