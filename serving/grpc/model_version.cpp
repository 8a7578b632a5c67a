#include "serving/grpc/model_version.h"

#include "kernels/base/error.h"
#include "serving/core/version_policy.h"
#include "serving/protocol/infer_request.h"

namespace tandem {

std::optional<int64_t> parse_model_version(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const int64_t version = parse_version(text);
  require(version > 0, "failed to get model version from specified version string " + quoted_name(text) +
                           ", version should be an integral value > 0");
  return version;
}

}  // namespace tandem
