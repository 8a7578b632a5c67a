// RegexFullMatch (ONNX 20): whether all of a text matches a pattern in the syntax of RE2, whose time is linear in the text
// whatever the pattern.
#include <re2/re2.h>

#include <memory>

#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

constexpr std::string_view kPattern[] = {"pattern"};

std::shared_ptr<const RE2> pattern_of(const NodeContext& node) {
  node.require(node.has_attribute("pattern"), "the attribute pattern is required");
  auto pattern = std::make_shared<const RE2>(node.get_string("pattern", ""), RE2::Quiet);
  node.require(pattern->ok(), "the pattern is no regular expression (pattern, error)", pattern->pattern(), pattern->error());
  return pattern;
}

void infer(InferenceContext& node) {
  node.require_dtype(0, DType::kString);
  pattern_of(node);
  node.set_output(0, DType::kBool, node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}

BoundKernel bind(const BindContext& node) {
  return {.run = [pattern = pattern_of(node)](const KernelContext&, Inputs in, Outputs out) {
    const auto texts = in[0].as<std::string_view>();
    const auto matches = out[0].as<bool>();
    for (size_t i = 0; i < texts.size(); ++i)
      matches[i] = RE2::FullMatch(re2::StringPiece(texts[i].data(), texts[i].size()), *pattern);
  }};
}

constexpr OpDef regex_full_match_op = {
    .name = "RegexFullMatch", .since = 20, .attributes = kPattern, .infer = infer, .cpu = bind};

constexpr const OpDef* kOps[] = {&regex_full_match_op};

}  // namespace

extern const OpFamily regex_full_match_ops;
constinit const OpFamily regex_full_match_ops = kOps;

}  // namespace tandem
