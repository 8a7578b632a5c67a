// Tokenizer of onnxruntime (domain com.microsoft), which skl2onnx writes before a count of words: cuts each text of a list or a
// table into tokens along a new last axis, as long as the longest row. Either `separators` are cut out, one expression after
// another, or what `tokenexp` matches is kept; one empty separator, or the expression ".", cuts between characters. Expressions
// are RE2's, and match as much as they can.
#include <re2/re2.h>

#include <deque>

#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"mark", "mincharnum", "pad_value", "separators", "tokenexp"};
constexpr std::string_view kStart = "\x02", kEnd = "\x03";

using Texts = std::vector<std::string_view>;

size_t characters(std::string_view text) {
  size_t count = 0;
  for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  return count;
}

// Bytes of the character that starts at `at`.
size_t character_length(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  return end - at;
}

// Either the expressions of the separators, or the one of tokens. Built once a run: RE2 is neither copied nor moved.
struct Rules {
  std::deque<RE2> expressions;
  bool by_character = false, separate = false;
  size_t least_characters = 1;
};

void add_expression(const NodeContext& node, const std::string& pattern, Rules& rules) {
  RE2::Options options(RE2::Quiet);
  options.set_longest_match(true);
  const RE2& added = rules.expressions.emplace_back(pattern, options);
  node.require(added.ok(), "this is no regular expression (pattern, error)", pattern, added.error());
}

void read_rules(const NodeContext& node, Rules& rules) {
  const std::vector<std::string> separators = node.get_strings("separators");
  const std::string token = node.get_string("tokenexp", "");
  const int64_t least = node.get_int("mincharnum", 1);
  node.require(least > 0, "mincharnum must be positive", least);
  node.require(!separators.empty() || !token.empty(), "one of separators and tokenexp is required");
  rules.least_characters = static_cast<size_t>(least);
  rules.separate = !separators.empty();
  rules.by_character = rules.separate ? separators.size() == 1 && separators[0].empty() : token == ".";
  if (rules.by_character) return node.require(least == 1, "mincharnum must be 1 where characters are tokens", least);
  if (!rules.separate) return add_expression(node, token, rules);
  for (const std::string& separator : separators) add_expression(node, separator, rules);
}

// Calls found(from, to, next) for one match after another; after an empty one the search goes on a character later.
template <class Found>
void each_match(const RE2& expression, std::string_view text, const Found& found) {
  const re2::StringPiece whole(text.data(), text.size());
  re2::StringPiece match;
  size_t at = 0;
  while (at <= text.size() && expression.Match(whole, at, text.size(), RE2::UNANCHORED, &match, 1)) {
    const auto from = static_cast<size_t>(match.data() - text.data());
    at = from + (match.empty() ? character_length(text, from) : match.size());
    found(from, from + match.size(), at);
  }
}

// An empty match cuts out the character after it, as onnxruntime does.
Texts cut(std::string_view text, const RE2& separator, size_t least) {
  Texts parts;
  size_t start = 0;
  const auto keep = [&](size_t to) {
    const std::string_view part = text.substr(start, to - start);
    if (!part.empty() && characters(part) >= least) parts.push_back(part);
  };
  each_match(separator, text, [&](size_t from, size_t, size_t next) {
    keep(from);
    start = std::min(next, text.size());
  });
  keep(text.size());
  return parts;
}

Texts tokens_of(std::string_view text, const Rules& rules) {
  Texts tokens;
  if (rules.by_character) {
    for (size_t at = 0; at < text.size(); at += tokens.back().size()) tokens.push_back(text.substr(at, character_length(text, at)));
    return tokens;
  }
  if (!rules.separate) {
    each_match(rules.expressions[0], text, [&](size_t from, size_t to, size_t) {
      const std::string_view token = text.substr(from, to - from);
      if (!token.empty() && characters(token) >= rules.least_characters) tokens.push_back(token);
    });
    return tokens;
  }
  tokens.push_back(text);
  for (const RE2& separator : rules.expressions) {
    Texts smaller;
    for (const std::string_view part : tokens) {
      const Texts parts = cut(part, separator, rules.least_characters);
      smaller.insert(smaller.end(), parts.begin(), parts.end());
    }
    tokens = std::move(smaller);
  }
  return tokens;
}

void infer(InferenceContext& node) {
  node.require_dtype(0, DType::kString);
  Rules rules;
  read_rules(node, rules);
  std::optional<Dims> dims;
  if (node.has_rank(0)) {
    dims = node.dims(0);
    node.require(dims->size() == 1 || dims->size() == 2, "input must be a list or a table of texts", to_string(*dims));
    dims->push_back(Dim());
  }
  node.set_output(0, DType::kString, std::move(dims));
}

void evaluate(EvaluateContext& node) {
  const Tensor& x = node.tensor(0);
  Rules rules;
  read_rules(node, rules);
  std::vector<Texts> rows;
  size_t width = 0;
  for (const std::string_view text : x.as<std::string_view>()) {
    rows.push_back(tokens_of(text, rules));
    width = std::max(width, rows.back().size());
  }
  const bool mark = node.get_int("mark", 0) != 0 && width > 0;
  if (mark) width += 2;
  const int64_t count = checked_mul(x.elements(), static_cast<int64_t>(width), "tokens");
  const std::string pad = node.get_string("pad_value", "");
  Texts all;
  all.reserve(static_cast<size_t>(count));
  for (size_t i = 0; i < rows.size(); ++i) {
    if (mark) all.push_back(kStart);
    all.insert(all.end(), rows[i].begin(), rows[i].end());
    if (mark) all.push_back(kEnd);
    all.resize((i + 1) * width, pad);
  }
  Shape shape = x.shape();
  shape.push_back(static_cast<int64_t>(width));
  node.set_output(0, Tensor::strings(shape, std::span<const std::string_view>(all)));
}

constexpr OpDef tokenizer_op = {
    .name = "Tokenizer", .domain = "com.microsoft", .attributes = kAttributes, .infer = infer, .evaluate = evaluate};

constexpr const OpDef* kOps[] = {&tokenizer_op};

}  // namespace

extern const OpFamily tokenizer_ops;
constinit const OpFamily tokenizer_ops = kOps;

}  // namespace tandem
