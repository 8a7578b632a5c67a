// Lookup in the sorted list of operators.
#include <algorithm>
#include <tuple>
#include <vector>

#include "kernels/base/error.h"
#include "runtime/graph/nearest_name.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

using Key = std::pair<std::string_view, std::string_view>;
Key key_of(const OpDef* def) { return {def->domain, def->name}; }

// All versions of an op, the oldest first.
std::span<const OpDef* const> versions_of(std::string_view domain, std::string_view name) {
  const auto found = std::ranges::equal_range(all_ops(), Key{domain, name}, {}, key_of);
  return {found.begin(), found.end()};
}

std::string qualified(std::string_view domain, std::string_view name) {
  return (domain.empty() ? "" : std::string(domain) + ".") + std::string(name);
}

[[noreturn]] void reject_unknown(std::string_view domain, std::string_view name) {
  std::vector<std::string_view> names;
  for (const OpDef* def : all_ops())
    if (def->domain == domain && (names.empty() || names.back() != def->name)) names.push_back(def->name);
  if (names.empty()) fail(ErrorCode::kInvalidArgument, "unknown operator domain (domain, operator)", {domain, name});
  fail(ErrorCode::kInvalidArgument, "unknown operator '" + qualified(domain, name) + "'" + did_you_mean(name, names));
}

}  // namespace

const OpDef& find_op(std::string_view domain, std::string_view name, int opset) {
  if (domain == "ai.onnx") domain = "";
  const auto versions = versions_of(domain, name);
  if (versions.empty()) reject_unknown(domain, name);
  for (const OpDef* def : versions)
    if (def->since <= opset && opset < def->until) return *def;
  fail(ErrorCode::kInvalidArgument,
       "operator '" + qualified(domain, name) + "' has no definition at this opset (opset, known from)",
       {opset, versions.front()->since});
}

const OpDef& newest_op(std::string_view name, std::string_view domain) {
  const auto versions = versions_of(domain, name);
  if (versions.empty()) reject_unknown(domain, name);
  // An op younger than what Tandem writes: its first definition.
  if (domain.empty()) return find_op(domain, name, std::max(kOnnxOpset, versions.front()->since));
  if (domain == "ai.onnx.ml") return find_op(domain, name, std::max(kOnnxMlOpset, versions.front()->since));
  return *versions.back();
}

}  // namespace tandem
